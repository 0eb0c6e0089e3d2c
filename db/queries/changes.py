"""Which slides have changed, for a page that shows them live; asking every second costs little.

There is no counter that grows with every change, and times alone would miss what a slow transaction commits late. So a
marker remembers what it saw of the slides that were busy lately, and whatever looks different the next time has changed.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Integer, Select, func, literal_column, or_, select

from smearcount.db.engine.database import Database
from smearcount.db.schema import Image, ReviewRow, Slide, SlideEventRow

#: What is written with an older time than this before now is not noticed; no transaction waits for a lock as long.
LATEST_COMMIT = timedelta(seconds=30)
#: How far back a marker looks before it lets go of the older half.
_LONGEST_LOOK = 2 * LATEST_COMMIT

#: A sum, or SQLite would read all images for the sake of having their slides in order.
_SLIDE_OF = Image.slide_id + literal_column("0", Integer)

_Look = Mapping[int, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Marker:
    """What the database looked like at one moment, as far as it matters for telling what has changed since."""

    since: datetime
    seen: _Look


def latest(database: Database) -> Marker:
    """Return the marker of this moment."""
    since = datetime.now(UTC) - LATEST_COMMIT
    with database.reading() as connection:
        return Marker(since, _look(connection, since))


def changed_slides(database: Database, since: Marker) -> tuple[Marker, list[int]]:
    """Return the marker of this moment, and the ids of the slides that have changed since an earlier one.

    Changed is a slide that began, got images, had images dealt with, was completed or reopened by a late image,
    reviewed, commented on, signed or reopened.
    """
    now = datetime.now(UTC)
    with database.reading() as connection:
        seen = _look(connection, since.since)
        slides = seen.keys() | since.seen.keys()
        changed = sorted(slide_id for slide_id in slides if seen.get(slide_id) != since.seen.get(slide_id))
        if now - since.since <= _LONGEST_LOOK:
            return Marker(since.since, seen), changed
        # In the same transaction: whatever is committed from now on is in neither look.
        shorter = now - LATEST_COMMIT
        return Marker(shorter, _look(connection, shorter)), changed


def _look(connection: Connection, since: datetime) -> dict[int, tuple[object, ...]]:
    """Return what can be seen of each slide that anything happened to since a moment."""
    found: dict[int, tuple[object, ...]] = defaultdict(tuple)
    queries: tuple[Select[*tuple[Any, ...]], ...] = (
        select(Slide.id, Slide.last_image_at, Slide.completed_at).where(
            or_(Slide.completed_at >= since, Slide.completed_at.is_(None) & (Slide.last_image_at >= since))
        ),
        select(_SLIDE_OF, func.count(), func.max(Image.finished_at))
        .where(Image.finished_at >= since)
        .group_by(_SLIDE_OF),
        select(ReviewRow.slide_id, func.max(ReviewRow.id))
        .where(ReviewRow.reviewed_at >= since)
        .group_by(ReviewRow.slide_id),
        select(SlideEventRow.slide_id, func.max(SlideEventRow.id))
        .where(SlideEventRow.at >= since)
        .group_by(SlideEventRow.slide_id),
    )
    for number, query in enumerate(queries):
        for slide_id, *values in connection.execute(query):
            if slide_id is not None:
                found[slide_id] += (number, *values)
    return found
