"""Completing slides: a slide is complete once none of its images is open and none has come for a while."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update

from smearcount.db.delivery import outbox
from smearcount.db.engine.clock import is_past
from smearcount.db.engine.database import Database
from smearcount.db.engine.locking import lock_slides
from smearcount.db.ingest.same_cells import note_same_cells
from smearcount.db.schema import IS_OPEN, Image, Slide


def complete_slides(
    database: Database, inbox_id: int, *, quiet: timedelta, arriving: Callable[[], Collection[str]] = tuple
) -> list[str]:
    """Complete the slides of an inbox that nothing more is expected for, in one transaction.

    Args:
        database: where slides are kept.
        inbox_id: the inbox.
        quiet: time for which no image of the slide must have come.
        arriving: returns the names of the slides that files are arriving for. It is called only when some slide would be
            complete otherwise.

    Returns:
        The names of the slides that were completed, sorted.
    """
    now = datetime.now(UTC)
    still_open = select(Image.id).where(Image.slide_id == Slide.id, IS_OPEN).exists()
    with database.reading() as connection:
        due = connection.execute(
            select(Slide.id, Slide.name).where(
                Slide.inbox_id == inbox_id,
                Slide.completed_at.is_(None),
                is_past(Slide.last_image_at, now - quiet),
                ~still_open,
            )
        ).all()
    if not due:
        return []
    still_arriving = arriving()
    complete = {slide_id: name for slide_id, name in due if name not in still_arriving}
    if not complete:
        return []
    with database.writing() as connection:
        # The lock waits for a transaction that reopens a slide at this moment, so that the update sees its effect.
        lock_slides(connection, Slide.id.in_(complete))
        completed = connection.execute(
            update(Slide)
            .where(
                Slide.id.in_(complete),
                # Another watcher may have completed it since, and a person signed it: a new time would end that signature.
                Slide.completed_at.is_(None),
                is_past(Slide.last_image_at, now - quiet),
                ~still_open,
            )
            .values(completed_at=now)
            .returning(Slide.id, Slide.name)
        ).all()
        note_same_cells(connection, [slide_id for slide_id, _ in completed])
        completion = {"kind": outbox.ChangeKind.COMPLETED.value, "event_id": None, "at": now}
        outbox.add(connection, [{"slide_id": slide_id, **completion} for slide_id, _ in sorted(completed)])
        return sorted(name for _, name in completed)
