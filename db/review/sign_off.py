"""What people do with a whole slide: they comment on it, sign it off and reopen it; each is a new row.

All functions that write lock the slide first (see `db.engine.locking`) and write in one transaction.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_slides
from smearcount.db.engine.paging import is_key
from smearcount.db.review.checks import checked_name, checked_text, require_slide
from smearcount.db.review.effective_calls import CALL, IS_CALL
from smearcount.db.review.errors import ReviewConflict, ReviewRefused, SlideSigned
from smearcount.db.review.history import conflicts_since
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, SIGN_OFF_HOLDS
from smearcount.db.schema import IS_COUNTED, Image, ReviewRow, Slide, SlideEventKind, SlideEventRow


@dataclass(frozen=True, slots=True)
class SlideEvent:
    """What one person did with a slide."""

    id: int
    slide_id: int
    kind: SlideEventKind
    reviewer: str
    #: The comment, or why the slide was reopened.
    text: str | None
    at: datetime
    #: What a sign-off was given for: the number of counted cells, the ids of the models that called them, newest review.
    counted: int | None
    model_ids: tuple[int, ...]
    last_review_id: int | None


def sign(
    database: Database, slide_id: int, *, reviewer: str, comment: str | None = None, seen_review_id: int | None = None
) -> SlideEvent:
    """Sign a slide off.

    Its cells cannot be reclassified until it is reopened. A later change of its images ends the signature.

    Args:
        database: where slides are kept.
        slide_id: the slide.
        reviewer: name of the person.
        comment: what the person adds, if anything.
        seen_review_id: newest review of the slide that the person saw, 0 if there was none; None signs in any case.

    Raises:
        UnknownSlide: there is no such slide.
        SlideSigned: the slide is signed already.
        ReviewConflict: another person has reclassified cells since, which this one has not seen.
        ReviewRefused: the slide is still being counted, or an argument is impossible.
    """
    who, text = checked_name(reviewer), checked_text(comment)
    with database.writing(durable=True) as connection:
        completed_at = _lock(connection, slide_id)
        if completed_at is None:
            raise ReviewRefused(f"slide {slide_id} is still being counted; sign it when it is complete")
        signer = _signer(connection, slide_id)
        if signer is not None:
            raise SlideSigned(f"slide {slide_id} is signed by {signer} already")
        if seen_review_id is not None:
            unseen = conflicts_since(connection, slide_id, seen_review_id)
            if unseen:
                raise ReviewConflict(unseen)
        return _add(
            connection,
            slide_id,
            SlideEventKind.SIGN_OFF,
            who,
            text,
            **_what_is_signed(connection, slide_id, completed_at),
        )


def reopen(database: Database, slide_id: int, *, reviewer: str, reason: str) -> SlideEvent:
    """End the signature of a slide, so that its cells can be reclassified again.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewRefused: the slide is not signed, or the reason is empty.
    """
    who, text = checked_name(reviewer), checked_text(reason)
    if text is None:
        raise ReviewRefused("say why the slide is reopened")
    with database.writing(durable=True) as connection:
        _lock(connection, slide_id)
        if _signer(connection, slide_id) is None:
            raise ReviewRefused(f"slide {slide_id} is not signed, so there is nothing to reopen")
        return _add(connection, slide_id, SlideEventKind.REOPEN, who, text)


def comment(database: Database, slide_id: int, *, reviewer: str, text: str) -> SlideEvent:
    """Add a comment to a slide, signed or not.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewRefused: the text is empty or impossible.
    """
    who, said = checked_name(reviewer), checked_text(text)
    if said is None:
        raise ReviewRefused("a comment says something")
    with database.writing(durable=True) as connection:
        _lock(connection, slide_id)
        return _add(connection, slide_id, SlideEventKind.COMMENT, who, said)


def slide_events(database: Database, slide_id: int) -> list[SlideEvent]:
    """Return what people did with a slide, oldest first.

    Raises:
        UnknownSlide: there is no such slide.
    """
    with database.reading() as connection:
        require_slide(connection, slide_id)
        rows = connection.execute(
            select(SlideEventRow).where(SlideEventRow.slide_id == slide_id).order_by(SlideEventRow.id)
        )
        return [_event(row) for row in rows]


def times_signed(database: Database, slide_ids: Collection[int]) -> dict[int, int]:
    """Return, by slide, how many sign-offs each slide has ever had; slides without any are left out."""
    query = (
        select(SlideEventRow.slide_id, func.count().label("times"))
        .where(
            SlideEventRow.slide_id.in_([slide_id for slide_id in slide_ids if is_key(slide_id)]),
            SlideEventRow.kind == SlideEventKind.SIGN_OFF,
        )
        .group_by(SlideEventRow.slide_id)
    )
    with database.reading() as connection:
        return {row.slide_id: row.times for row in connection.execute(query)}


def _lock(connection: Connection, slide_id: int) -> datetime | None:
    """Lock the slide, so that no other transaction changes it or its reviews, and return when it was completed."""
    require_slide(connection, slide_id)
    lock_slides(connection, Slide.id == slide_id)
    return connection.execute(select(Slide.completed_at).where(Slide.id == slide_id)).scalar_one()


def _signer(connection: Connection, slide_id: int) -> str | None:
    return connection.execute(
        select(SIGN_OFF.reviewer).join(Slide, IS_SIGN_OFF).where(Slide.id == slide_id, SIGN_OFF_HOLDS)
    ).scalar_one_or_none()


def _what_is_signed(connection: Connection, slide_id: int, completed_at: datetime) -> dict[str, object]:
    by_model = connection.execute(
        select(CALL.model_id, func.count())
        .join(Image, IS_CALL)
        .where(Image.slide_id == slide_id, IS_COUNTED)
        .group_by(CALL.model_id)
        .order_by(CALL.model_id)
    ).all()
    last = connection.execute(select(func.max(ReviewRow.id)).where(ReviewRow.slide_id == slide_id)).scalar_one()
    return {
        "completed_at": completed_at,
        "counted": sum(count for _, count in by_model),
        "model_ids": [model_id for model_id, _ in by_model],
        "last_review_id": last,
    }


def _add(
    connection: Connection, slide_id: int, kind: SlideEventKind, who: str, text: str | None, **signed: object
) -> SlideEvent:
    row = {"slide_id": slide_id, "kind": kind, "reviewer": who, "text": text, "at": datetime.now(UTC), **signed}
    (event_id,) = append(connection, SlideEventRow, [row])
    return _event(connection.execute(select(SlideEventRow).where(SlideEventRow.id == event_id)).one())


def _event(row: Row[*tuple[Any, ...]]) -> SlideEvent:
    return SlideEvent(
        row.id, row.slide_id, SlideEventKind(row.kind), row.reviewer, row.text, row.at, row.counted,
        tuple(row.model_ids or ()), row.last_review_id,
    )  # fmt: skip
