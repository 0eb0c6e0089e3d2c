"""The outbox: what happened to slides that others should hear of, in the order in which it was committed.

A row is written in the very transaction in which it happened: neither can be there without the other. The numbers of a
PostgreSQL sequence are not committed in their order, so that a reader who has seen number 8 might miss number 7. Therefore who
adds a row holds a lock from before its number is taken until the transaction ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from smearcount.db.engine.database import Database
from smearcount.db.schema import OutboxRow, SlideEventKind


class ChangeKind(StrEnum):
    """What happened to a slide."""

    #: Nothing more is expected for it, so there is an automatic count.
    COMPLETED = "completed"
    #: People called cells of it.
    REVIEW = "review"
    COMMENT = SlideEventKind.COMMENT.value
    SIGN_OFF = SlideEventKind.SIGN_OFF.value
    REOPEN = SlideEventKind.REOPEN.value
    WITHDRAW = SlideEventKind.WITHDRAW.value
    RESTORE = SlideEventKind.RESTORE.value
    CONTENT_CHANGED = SlideEventKind.CONTENT_CHANGED.value
    RENAME = SlideEventKind.RENAME.value


@dataclass(frozen=True, slots=True)
class Happening:
    """A row of the outbox."""

    id: int
    slide_id: int
    kind: ChangeKind
    #: The slide event; None for reviews and completions.
    event_id: int | None
    #: UTC.
    at: datetime


#: Key of the PostgreSQL lock of those who add rows; any number that nothing else uses.
_LOCK = text("SELECT pg_advisory_xact_lock(1936549236)")


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to the outbox, as the last thing that a writing transaction locks.

    Args:
        connection: of the transaction in which it happens.
        rows: `slide_id`, `kind`, `event_id` and `at` of each.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)
    connection.execute(insert(OutboxRow), list(rows))


def newest(connection: Connection) -> int:
    """Return the id of the newest row; 0 if there is none."""
    return connection.execute(select(func.coalesce(func.max(OutboxRow.id), 0))).scalar_one()


def happenings(database: Database, *, after: int, limit: int) -> list[Happening]:
    """Return what happened after a row of the outbox, oldest first, at most `limit` rows."""
    query = select(OutboxRow).where(OutboxRow.id > after).order_by(OutboxRow.id).limit(limit)
    with database.reading() as connection:
        return [
            Happening(row.id, row.slide_id, ChangeKind(row.kind), row.event_id, row.at)
            for row in connection.execute(query)
        ]


@dataclass(frozen=True, slots=True)
class ChangedSlides:
    """Slides that something happened to, and where to go on."""

    #: Ids, each once, in the order of their last row.
    slides: tuple[int, ...]
    #: Everything up to this row was looked at.
    cursor: int
    #: Whether there was more to look at.
    is_more: bool


#: What changes whether a slide is signed, or whether it counts at all.
SIGNING = (ChangeKind.SIGN_OFF, ChangeKind.REOPEN, ChangeKind.WITHDRAW, ChangeKind.RESTORE)


def changed_slides(database: Database, *, after: int, limit: int, kinds: Sequence[ChangeKind] = ()) -> ChangedSlides:
    """Return the slides that something happened to after a row of the outbox.

    Args:
        database: where it is kept.
        after: the row, 0 for all that ever happened.
        limit: most slides.
        kinds: what must have happened to them; empty for anything.
    """
    query = select(OutboxRow.id, OutboxRow.slide_id).where(OutboxRow.id > after).order_by(OutboxRow.id).limit(limit + 1)
    if kinds:
        query = query.where(OutboxRow.kind.in_([kind.value for kind in kinds]))
    with database.reading() as connection:
        rows = connection.execute(query).all()
        last = newest(connection)
    shown = rows[:limit]
    is_more = len(rows) > limit
    latest = {row.slide_id: row.id for row in shown}
    # At the end, what was left out for its kind was looked at as well.
    cursor = shown[-1].id if is_more else max(after, last)
    return ChangedSlides(tuple(sorted(latest, key=latest.__getitem__)), cursor, is_more)


def newest_row(database: Database) -> int:
    """Return the id of the newest row; 0 if there is none."""
    with database.reading() as connection:
        return newest(connection)


def before(database: Database, moment: datetime) -> int:
    """Return the id of the last row before the first one at or after a moment; that of the newest if there is none."""
    first = select(func.min(OutboxRow.id)).where(OutboxRow.at >= moment)
    with database.reading() as connection:
        found = connection.execute(first).scalar_one()
        return newest(connection) if found is None else found - 1
