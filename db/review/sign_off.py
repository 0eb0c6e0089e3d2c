"""What people do with a whole slide: they comment on it, sign it off and reopen it; each is a new row.

`db.signing` signs. All functions that write lock the slide first (see `db.engine.locking`) and write in one transaction.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_slides
from smearcount.db.engine.paging import is_key
from smearcount.db.review.checks import checked_name, checked_text, require_slide
from smearcount.db.review.endings import SignatureEnd, signature_ends
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.review.signatures import IS_SIGN_OFF, SIGN_OFF, SIGN_OFF_HOLDS
from smearcount.db.schema import Slide, SlideEventKind, SlideEventRow


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
    #: SHA-256 of the result that was signed, and that result as `SignedResult.as_json` wrote it; None in earlier versions.
    digest: str | None = None
    snapshot: Mapping[str, Any] | None = None
    #: What stood in the way of a sign-off and was acknowledged: objects with `code` and `message`.
    acknowledged: tuple[Mapping[str, str], ...] = ()
    #: For a sign-off that new content in the slide has ended: what came; None for all others.
    ended: SignatureEnd | None = None


def reopen(database: Database, slide_id: int, *, reviewer: str, reason: str) -> SlideEvent:
    """End the signature of a slide, so that its cells can be reclassified again.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewRefused: the slide is not signed, or the reason is empty.
    """
    who, text = checked_name(reviewer), checked_reason(reason)
    with database.writing(durable=True) as connection:
        lock_slide(connection, slide_id)
        if signer_of(connection, slide_id) is None:
            raise ReviewRefused(f"slide {slide_id} is not signed, so there is nothing to reopen")
        return add_event(connection, slide_id, SlideEventKind.REOPEN, who, text)


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
        lock_slide(connection, slide_id)
        return add_event(connection, slide_id, SlideEventKind.COMMENT, who, said)


def slide_events(database: Database, slide_id: int) -> list[SlideEvent]:
    """Return what people did with a slide, oldest first.

    Raises:
        UnknownSlide: there is no such slide.
    """
    with database.reading() as connection:
        require_slide(connection, slide_id)
        rows = connection.execute(
            select(SlideEventRow).where(SlideEventRow.slide_id == slide_id).order_by(SlideEventRow.id)
        ).all()
        ends = signature_ends(connection, slide_id, rows)
        return [_event(row, ends.get(row.id)) for row in rows]


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


def checked_reason(reason: str) -> str:
    """Return why a slide is reopened, as it is stored.

    Raises:
        ReviewRefused: the reason is empty or impossible.
    """
    text = checked_text(reason)
    if text is None:
        raise ReviewRefused("say why the slide is reopened")
    return text


def lock_slide(connection: Connection, slide_id: int) -> datetime | None:
    """Lock the slide, so that no other transaction changes it or its reviews, and return when it was completed.

    Raises:
        UnknownSlide: there is no such slide.
    """
    require_slide(connection, slide_id)
    lock_slides(connection, Slide.id == slide_id)
    return connection.execute(select(Slide.completed_at).where(Slide.id == slide_id)).scalar_one()


def signer_of(connection: Connection, slide_id: int) -> str | None:
    """Return who signed a slide; None if nobody did, or if the signature has ended."""
    return connection.execute(
        select(SIGN_OFF.reviewer).join(Slide, IS_SIGN_OFF).where(Slide.id == slide_id, SIGN_OFF_HOLDS)
    ).scalar_one_or_none()


def add_event(
    connection: Connection, slide_id: int, kind: SlideEventKind, who: str, text: str | None, **signed: object
) -> SlideEvent:
    """Store what a person did with a slide that is locked; `signed` has the further columns of a sign-off."""
    row = {"slide_id": slide_id, "kind": kind, "reviewer": who, "text": text, "at": datetime.now(UTC), **signed}
    (event_id,) = append(connection, SlideEventRow, [row])
    return _event(connection.execute(select(SlideEventRow).where(SlideEventRow.id == event_id)).one(), None)


def _event(row: Row[*tuple[Any, ...]], ended: SignatureEnd | None) -> SlideEvent:
    return SlideEvent(
        row.id, row.slide_id, SlideEventKind(row.kind), row.reviewer, row.text, row.at, row.counted,
        tuple(row.model_ids or ()), row.last_review_id, row.digest, row.snapshot, tuple(row.acknowledged or ()), ended,
    )  # fmt: skip
