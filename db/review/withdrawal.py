"""Withdrawing a slide that should never have been counted, such as a copy under a misspelt name, and restoring it.

A withdrawn slide is kept as it is, with all that people said of it. Lists, exports and totals leave it out; who asks for it by
name or id, or for the withdrawn slides, gets it. Each is a row in the slide's history, with the person and the reason.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection, select, update

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_slides
from smearcount.db.review.checks import checked_name, checked_text, require_slide
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.schema import Slide, SlideEventKind, SlideEventRow


def withdraw(database: Database, slide_id: int, *, reviewer: str, reason: str) -> None:
    """Withdraw a slide, signed or not; a signature is kept and holds again when the slide is restored.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewRefused: the slide is withdrawn already, or the name or the reason is empty.
    """
    _set(database, slide_id, SlideEventKind.WITHDRAW, reviewer, reason)


def restore(database: Database, slide_id: int, *, reviewer: str, reason: str) -> None:
    """Take the withdrawal of a slide back.

    Raises:
        UnknownSlide: there is no such slide.
        ReviewRefused: the slide is not withdrawn, or the name or the reason is empty.
    """
    _set(database, slide_id, SlideEventKind.RESTORE, reviewer, reason)


def require_not_withdrawn(connection: Connection, slide_id: int) -> None:
    """Check that a slide counts.

    Raises:
        ReviewRefused: it is withdrawn.
    """
    if _is_withdrawn(connection, slide_id):
        raise ReviewRefused(f"slide {slide_id} is withdrawn; restore it first, saying why")


def is_withdrawn(database: Database, slide_id: int) -> bool:
    """Return whether a slide is withdrawn."""
    with database.reading() as connection:
        return _is_withdrawn(connection, slide_id)


def _set(database: Database, slide_id: int, kind: SlideEventKind, reviewer: str, reason: str) -> None:
    who, why = checked_name(reviewer), checked_text(reason)
    if why is None:
        raise ReviewRefused("say why the slide is withdrawn" if kind is SlideEventKind.WITHDRAW else "say why")
    now = datetime.now(UTC)
    with database.writing(durable=True) as connection:
        require_slide(connection, slide_id)
        lock_slides(connection, Slide.id == slide_id)
        was_withdrawn = _is_withdrawn(connection, slide_id)
        if was_withdrawn and kind is SlideEventKind.WITHDRAW:
            raise ReviewRefused(f"slide {slide_id} is withdrawn already")
        if not was_withdrawn and kind is SlideEventKind.RESTORE:
            raise ReviewRefused(f"slide {slide_id} is not withdrawn, so there is nothing to restore")
        withdrawn_at = now if kind is SlideEventKind.WITHDRAW else None
        connection.execute(update(Slide).where(Slide.id == slide_id).values(withdrawn_at=withdrawn_at))
        event = {"slide_id": slide_id, "kind": kind, "reviewer": who, "text": why, "at": now}
        append(connection, SlideEventRow, [event])


def _is_withdrawn(connection: Connection, slide_id: int) -> bool:
    return connection.execute(select(Slide.withdrawn_at).where(Slide.id == slide_id)).scalar() is not None
