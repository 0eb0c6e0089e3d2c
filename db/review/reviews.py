"""What people say of cells: a new row each time, so that who, when, from what, to what and why stay known.

Whoever reclassifies names the review that he saw as the newest of each image. Where another came meanwhile, nothing is
written, and he is told what happened; so no one overrules another without knowing it.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, insert, select

from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_images, lock_slides
from smearcount.db.engine.paging import is_key, is_storable
from smearcount.db.errors import DatabaseError, UnknownImage, UnknownSlide
from smearcount.db.review.effective_calls import AUTOMATIC_CLASS, CALL, IS_CALL
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, STILL_HOLDS
from smearcount.db.schema import Image, ImageState, ReviewRow, Slide
from smearcount.differential.classes import ReviewClass

#: Most images that one call may reclassify; a slide rarely holds as many.
MOST_CHANGES = 5000
#: Longest name and text, in characters.
LONGEST_NAME = 200
LONGEST_TEXT = 4000

_WHY_NOT = {
    ImageState.PENDING: "is not classified yet",
    ImageState.QUEUED: "is not classified yet",
    ImageState.DUPLICATE: "is a duplicate, which is not counted; reclassify the image that is counted",
    ImageState.QUARANTINED: "is quarantined, so it shows no cell that could be counted",
    ImageState.SUPERSEDED: "was overwritten by a newer file; reclassify that one",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What a reviewer wants an image to be called."""

    image_id: int
    #: None goes back to the automatic call.
    cell_class: ReviewClass | None
    #: The newest review of the image that the reviewer saw; None if there was none.
    seen_review_id: int | None


@dataclass(frozen=True, slots=True)
class Review:
    """What one person said of one image."""

    id: int
    #: All that was done in one go has the same.
    action: str
    image_id: int
    slide_id: int
    #: None went back to the automatic call.
    cell_class: ReviewClass | None
    #: What the image counted as before.
    was: ReviewClass
    #: What it counted as from then on.
    became: ReviewClass
    reviewer: str
    reason: str | None
    reviewed_at: datetime
    #: The review that this one took back, if it did.
    undoes: int | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """What others said of an image since a reviewer looked at it, oldest first; never empty."""

    image_id: int
    reviews: tuple[Review, ...]


class ReviewRefused(DatabaseError):
    """What was asked makes no sense for the slide or image as it is; the message says why."""


class SlideSigned(ReviewRefused):
    """The slide is signed; it must be reopened before anything about it changes."""


class ReviewConflict(DatabaseError):
    """Somebody else was faster; nothing was written."""

    def __init__(self, conflicts: Sequence[Conflict]) -> None:
        """Say of each image what happened to it."""
        self.conflicts = tuple(conflicts)
        latest = max((conflict.reviews[-1] for conflict in self.conflicts), key=lambda review: review.id)
        others = f" and {len(self.conflicts) - 1} more" if len(self.conflicts) > 1 else ""
        super().__init__(
            f"image {latest.image_id}{others} changed meanwhile: {latest.reviewer} made it {latest.became} "
            f"(it was {latest.was}); nothing was written, look again and repeat what still applies"
        )


def reclassify(
    database: Database, changes: Sequence[Change], *, reviewer: str, reason: str | None = None
) -> list[Review]:
    """Store what a reviewer calls some images, all or nothing; return the new reviews in the order of the changes.

    Raises:
        UnknownImage: one of the images does not exist.
        ReviewConflict: the newest review of an image is another than the one that the reviewer saw.
        SlideSigned: the slide of one of the images is signed.
        ReviewRefused: one of the images is not counted, or what was given is impossible.
    """
    who, why = checked_name(reviewer), checked_text(reason)
    ids = [change.image_id for change in changes]
    if len(set(ids)) < len(ids) or len(ids) > MOST_CHANGES:
        raise ReviewRefused(f"one call can change each image once, and at most {MOST_CHANGES} images")
    if not all(is_key(image_id) for image_id in ids):
        raise UnknownImage("there is no such image")
    with database.writing() as connection:
        images = _lock(connection, Image.id.in_(ids))
        for image_id in ids:
            _require_counted(image_id, images.get(image_id))
        _require_unsigned(connection, {image.slide_id for image in images.values()})
        earlier = _reviews_by_image(connection, ReviewRow.image_id.in_(ids))
        _require_seen(changes, earlier)
        rows = [
            _row(images[change.image_id], earlier[change.image_id], change.cell_class, undoes=None)
            for change in changes
        ]
        return _write(connection, rows, who, why)


def undo(database: Database, slide_id: int, *, reviewer: str) -> list[Review]:
    """Take back the last thing that a reviewer did to a slide's cells and has not taken back yet; return what is new.

    Every image goes back to what was said of it before. Images that have been overwritten since are left out.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewConflict: somebody else has changed one of the images since; nothing was written.
        SlideSigned: the slide is signed.
        ReviewRefused: there is nothing to undo.
    """
    who = checked_name(reviewer)
    with database.writing() as connection:
        require_slide(connection, slide_id)
        # The slide's lock keeps out everybody who could change what is read next.
        lock_slides(connection, Slide.id == slide_id)
        _require_unsigned(connection, {slide_id})
        last = _last_action(connection, slide_id, who)
        images = _lock(connection, Image.id.in_(last))
        earlier = _reviews_by_image(connection, ReviewRow.image_id.in_(images))
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


def history(database: Database, image_id: int) -> list[Review]:
    """Return all that people ever said of an image, oldest first.

    Raises:
        UnknownImage: there is no such image.
    """
    with database.reading() as connection:
        is_known = is_key(image_id) and connection.execute(select(Image.id).where(Image.id == image_id)).first()
        if not is_known:
            raise UnknownImage(f"there is no image {image_id}")
        return _reviews_by_image(connection, ReviewRow.image_id == image_id)[image_id]


def slide_history(database: Database, slide_id: int) -> list[Review]:
    """Return all that people ever said of a slide's images, oldest first.

    Raises:
        UnknownSlide: there is no such slide.
    """
    with database.reading() as connection:
        require_slide(connection, slide_id)
        by_image = _reviews_by_image(connection, ReviewRow.slide_id == slide_id)
    return sorted((review for reviews in by_image.values() for review in reviews), key=lambda review: review.id)


def checked_name(name: str) -> str:
    """Return the name of a person as it is kept.

    Raises:
        ReviewRefused: it is empty, too long, or holds characters that show nothing.
    """
    stripped = name.strip()
    if not stripped or len(stripped) > LONGEST_NAME or not stripped.isprintable():
        raise ReviewRefused(f"a reviewer's name has 1 to {LONGEST_NAME} printable characters")
    return stripped


def checked_text(text: str | None) -> str | None:
    """Return a reason or comment as it is kept; None if nothing was said.

    Raises:
        ReviewRefused: it is too long, or no text that a database can hold.
    """
    stripped = (text or "").strip()
    if len(stripped) > LONGEST_TEXT or not is_storable(stripped):
        raise ReviewRefused(f"a reason or comment has at most {LONGEST_TEXT} characters, none of them NUL")
    return stripped or None


def require_slide(connection: Connection, slide_id: int) -> None:
    """Check that there is such a slide.

    Raises:
        UnknownSlide: there is not.
    """
    if not is_key(slide_id) or connection.execute(select(Slide.id).where(Slide.id == slide_id)).first() is None:
        raise UnknownSlide(f"there is no slide {slide_id}")


def conflicts_since(connection: Connection, slide_id: int, review_id: int) -> list[Conflict]:
    """Return what was said of a slide's images after a review, for one who saw nothing later."""
    by_image = _reviews_by_image(connection, (ReviewRow.slide_id == slide_id) & (ReviewRow.id > review_id))
    return [Conflict(image_id, tuple(reviews)) for image_id, reviews in sorted(by_image.items())]


@dataclass(frozen=True, slots=True)
class _Image:
    """An image as a review finds it."""

    id: int
    slide_id: int
    state: ImageState
    automatic: ReviewClass


def _lock(connection: Connection, condition: ColumnElement[bool]) -> dict[int, _Image]:
    """Keep all others from changing the images and their slides, and return those that belong to a slide."""
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
        select(Slide.id, SIGN_OFF.reviewer).join(SIGN_OFF, IS_SIGN_OFF).where(Slide.id.in_(slide_ids), STILL_HOLDS)
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
    """Return, by image, the reviews of the reviewer's last action that he has not undone."""
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


def _reviews_by_image(connection: Connection, condition: ColumnElement[bool]) -> dict[int, list[Review]]:
    """Return the reviews by image, oldest first; an image without any has an empty list."""
    found: dict[int, list[Review]] = defaultdict(list)
    rows = connection.execute(
        select(ReviewRow, AUTOMATIC_CLASS.label("automatic"))
        .join(Image, Image.id == ReviewRow.image_id)
        .outerjoin(CALL, IS_CALL)
        .where(condition)
        .order_by(ReviewRow.id)
    )
    for row in rows:
        found[row.image_id].append(
            Review(
                row.id, row.action, row.image_id, row.slide_id,
                ReviewClass(row.cell_class) if row.cell_class else None,
                ReviewClass(row.was), ReviewClass(row.cell_class or row.automatic),
                row.reviewer, row.reason, row.reviewed_at, row.undoes,
            )
        )  # fmt: skip
    return found


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
    """Store rows as one action."""
    if not rows:
        return []
    common = {"action": uuid.uuid4().hex, "reviewer": who, "reason": why, "reviewed_at": datetime.now(UTC)}
    ids = connection.execute(
        insert(ReviewRow).returning(ReviewRow.id, sort_by_parameter_order=True), [row | common for row in rows]
    ).scalars()
    stored = _reviews_by_image(connection, ReviewRow.id.in_(list(ids)))
    return sorted((review for reviews in stored.values() for review in reviews), key=lambda review: review.id)
