"""Storing what people say of cells: a new row each time, so that who, when, from what, to what and why stay known.

A reviewer names, for each image, the newest review that he or she saw. If another person has called the image since, nothing
is written and the reviewer is told what happened. So no one overrules another person without knowing it.

All functions lock the slides first and their images after them (see `db.engine.locking`), and write all of their rows in one
transaction or none.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, select

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.engine.paging import is_key
from smearcount.db.errors import UnknownImage
from smearcount.db.review.checks import checked_name, checked_text, require_slide
from smearcount.db.review.effective_calls import AUTOMATIC_CLASS, CALL, IS_CALL
from smearcount.db.review.errors import ReviewConflict, ReviewRefused, SlideSigned
from smearcount.db.review.history import reviews_by_image
from smearcount.db.review.records import Change, Conflict, Review
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, SIGN_OFF_HOLDS
from smearcount.db.schema import Image, ImageState, ReviewRow, Slide
from smearcount.differential.classes import ReviewClass

#: Largest number of images that one call may reclassify; a slide rarely holds as many.
MOST_CHANGES = 5000

_WHY_NOT = {
    ImageState.PENDING: "is not classified yet",
    ImageState.QUEUED: "is not classified yet",
    ImageState.DUPLICATE: "is a duplicate, which is not counted; reclassify the image that is counted",
    ImageState.QUARANTINED: "is quarantined, so it shows no cell that could be counted",
    ImageState.SUPERSEDED: "was overwritten by a newer file; reclassify that one",
}


@dataclass(frozen=True, slots=True)
class _Image:
    """An image as a review finds it."""

    id: int
    slide_id: int
    state: ImageState
    automatic: ReviewClass


def reclassify(
    database: Database, changes: Sequence[Change], *, reviewer: str, reason: str | None = None
) -> list[Review]:
    """Store what a reviewer calls some images.

    Args:
        database: where reviews are kept.
        changes: at most one for each image, and at most `MOST_CHANGES`.
        reviewer: name of the person.
        reason: why, if the person said so.

    Returns:
        The new reviews, in the order of the changes.

    Raises:
        UnknownImage: one of the images does not exist.
        ReviewConflict: an image has a newer review than the one that the reviewer saw.
        SlideSigned: the slide of one of the images is signed.
        ReviewRefused: one of the images is not counted, or an argument is impossible.
    """
    who, why = checked_name(reviewer), checked_text(reason)
    ids = [change.image_id for change in changes]
    if len(set(ids)) < len(ids) or len(ids) > MOST_CHANGES:
        raise ReviewRefused(f"one call can change each image once, and at most {MOST_CHANGES} images")
    if not all(is_key(image_id) for image_id in ids):
        raise UnknownImage("there is no such image")
    with database.writing(durable=True) as connection:
        images = _lock(connection, Image.id.in_(ids))
        for image_id in ids:
            _require_counted(image_id, images.get(image_id))
        _require_unsigned(connection, {image.slide_id for image in images.values()})
        earlier = reviews_by_image(connection, ReviewRow.image_id.in_(ids))
        _require_seen(changes, earlier)
        rows = [
            _row(images[change.image_id], earlier[change.image_id], change.cell_class, undoes=None)
            for change in changes
        ]
        return _write(connection, rows, who, why)


def undo(database: Database, slide_id: int, *, reviewer: str) -> list[Review]:
    """Take back the last action of a reviewer on a slide's cells that he or she has not taken back yet.

    Every image goes back to what was said of it before. Images that have been overwritten since are left out.

    Returns:
        The new reviews, which name those that they undo.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewConflict: another person has called one of the images since; nothing was written.
        SlideSigned: the slide is signed.
        ReviewRefused: there is nothing to undo.
    """
    who = checked_name(reviewer)
    with database.writing(durable=True) as connection:
        require_slide(connection, slide_id)
        # While the slide is locked, no other transaction can change what is read next.
        lock_slides(connection, Slide.id == slide_id)
        _require_unsigned(connection, {slide_id})
        last = _last_action(connection, slide_id, who)
        images = _lock(connection, Image.id.in_(last))
        earlier = reviews_by_image(connection, ReviewRow.image_id.in_(images))
        conflicts = [
            Conflict(image_id, tuple(review for review in earlier[image_id] if review.id > last[image_id]))
            for image_id in images
            if _standing(earlier[image_id])[-1].id != last[image_id]
        ]
        if conflicts:
            raise ReviewConflict(conflicts)
        rows = []
        for image_id, image in sorted(images.items()):
            before = _standing(earlier[image_id])[:-1]
            rows.append(
                _row(image, earlier[image_id], before[-1].cell_class if before else None, undoes=last[image_id])
            )
        return _write(connection, rows, who, None)


def _lock(connection: Connection, condition: ColumnElement[bool]) -> dict[int, _Image]:
    """Lock the images and their slides until the transaction ends, and return those that belong to a slide."""
    lock_slides(connection, Slide.id.in_(select(Image.slide_id).where(condition)))
    lock_images(connection, condition)
    rows = connection.execute(
        select(Image.id, Image.slide_id, Image.state, AUTOMATIC_CLASS).outerjoin(CALL, IS_CALL).where(condition)
    )
    return {
        image_id: _Image(image_id, slide_id or 0, ImageState(state), ReviewClass(automatic))
        for image_id, slide_id, state, automatic in rows
    }


def _require_counted(image_id: int, image: _Image | None) -> None:
    if image is None:
        raise UnknownImage(f"there is no image {image_id}")
    if image.state is not ImageState.DONE:
        raise ReviewRefused(f"image {image_id} {_WHY_NOT[image.state]}")


def _require_unsigned(connection: Connection, slide_ids: Collection[int]) -> None:
    signed = connection.execute(
        select(Slide.id, SIGN_OFF.reviewer).join(SIGN_OFF, IS_SIGN_OFF).where(Slide.id.in_(slide_ids), SIGN_OFF_HOLDS)
    ).first()
    if signed is not None:
        raise SlideSigned(f"slide {signed[0]} is signed by {signed[1]}; reopen it to change it")


def _require_seen(changes: Iterable[Change], earlier: Mapping[int, Sequence[Review]]) -> None:
    conflicts = []
    for change in changes:
        known = [review.id for review in earlier[change.image_id]]
        if change.seen_review_id is not None and change.seen_review_id not in known:
            raise ReviewRefused(f"review {change.seen_review_id} is none of image {change.image_id}")
        unseen = tuple(review for review in earlier[change.image_id] if review.id > (change.seen_review_id or 0))
        if unseen:
            conflicts.append(Conflict(change.image_id, unseen))
    if conflicts:
        raise ReviewConflict(conflicts)


def _last_action(connection: Connection, slide_id: int, reviewer: str) -> dict[int, int]:
    """Return, by image, the ids of the reviews of the reviewer's last action that was not undone."""
    undone = select(ReviewRow.undoes).where(ReviewRow.slide_id == slide_id, ReviewRow.undoes.is_not(None))
    rows = connection.execute(
        select(ReviewRow.action, ReviewRow.image_id, ReviewRow.id)
        .join(Image, Image.id == ReviewRow.image_id)
        .where(
            ReviewRow.slide_id == slide_id,
            ReviewRow.reviewer == reviewer,
            ReviewRow.undoes.is_(None),
            ReviewRow.id.not_in(undone),
            Image.state == ImageState.DONE,
        )
        .order_by(ReviewRow.id.desc())
    ).all()
    if not rows:
        raise ReviewRefused(f"{reviewer} has nothing to undo on slide {slide_id}")
    return {image_id: review_id for action, image_id, review_id in rows if action == rows[0].action}


def _standing(reviews: Iterable[Review]) -> list[Review]:
    """Return the reviews of one image that were not undone, oldest first; only the last one can ever be undone."""
    standing: list[Review] = []
    for review in reviews:
        if review.undoes is None:
            standing.append(review)
        else:
            standing.pop()
    return standing


def _row(
    image: _Image, earlier: Sequence[Review], cell_class: ReviewClass | None, *, undoes: int | None
) -> dict[str, object]:
    return {
        "image_id": image.id,
        "slide_id": image.slide_id,
        "cell_class": cell_class,
        "was": earlier[-1].became if earlier else image.automatic,
        "undoes": undoes,
    }


def _write(connection: Connection, rows: list[dict[str, object]], who: str, why: str | None) -> list[Review]:
    """Store rows as one action, and return them in their order."""
    if not rows:
        return []
    common = {"action": uuid.uuid4().hex, "reviewer": who, "reason": why, "reviewed_at": datetime.now(UTC)}
    ids = append(connection, ReviewRow, [row | common for row in rows])
    stored = reviews_by_image(connection, ReviewRow.id.in_(ids))
    return sorted((review for reviews in stored.values() for review in reviews), key=lambda review: review.id)
