"""Which slides have changed, for pages that show them live; looking every second costs little.

No counter grows with every change, and times alone would miss what a slow transaction commits late. A marker therefore
remembers what it saw of the slides that were busy lately; what looks different the next time has changed.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, Integer, func, literal_column, or_, select

from smearcount.db.engine.database import Database
from smearcount.db.schema import Image, ReviewRow, Slide, SlideEventRow

#: A row whose time lies further back than this when it is committed is not noticed; no transaction waits that long.
LATEST_COMMIT = timedelta(seconds=30)
#: How far back a marker looks before it lets go of the older half.
_LONGEST_LOOK = 2 * LATEST_COMMIT

#: The sum keeps SQLite from reading all images for the sake of having their slides in order.
_SLIDE_OF = Image.slide_id + literal_column("0", Integer)


@dataclass(slots=True)
class _Seen:
    """What a look saw of one slide."""

    #: When its newest image was seen, and when it was completed.
    slide: tuple[object, ...] = ()
    #: How many of its images were dealt with, and when the last one was.
    images: tuple[object, ...] = ()
    #: Newest review; 0 if there was none lately.
    last_review_id: int = 0
    #: Newest comment, sign-off or reopening; 0 if there was none lately.
    last_event_id: int = 0


_Look = Mapping[int, _Seen]


@dataclass(frozen=True, slots=True)
class Marker:
    """What the database looked like at one moment, as far as it matters for telling what has changed since."""

    since: datetime
    seen: _Look


@dataclass(frozen=True, slots=True)
class SlideChange:
    """A slide that has changed.

    The ids tell a reader who knows a slide's newest review and event whether the change is news: the slide's lock makes
    the reviews of one slide, and its events, be committed in the order of their ids.
    """

    slide_id: int
    #: Whether images came or were dealt with, or the slide was completed or got a late image. If not, people alone
    #: changed it: with reviews, comments, sign-offs or reopenings.
    has_new_images: bool
    #: Newest review; 0 if there was none within the last half minute.
    last_review_id: int
    #: Newest comment, sign-off or reopening; 0 if there was none within the last half minute.
    last_event_id: int

    def and_then(self, later: "SlideChange") -> "SlideChange":
        """Return this change and a later one of the same slide as one."""
        return SlideChange(
            self.slide_id,
            self.has_new_images or later.has_new_images,
            max(self.last_review_id, later.last_review_id),
            max(self.last_event_id, later.last_event_id),
        )


def latest(database: Database) -> Marker:
    """Return the marker of this moment."""
    since = datetime.now(UTC) - LATEST_COMMIT
    with database.reading() as connection:
        return Marker(since, _look(connection, since))


def changed_slides(database: Database, since: Marker) -> tuple[Marker, list[SlideChange]]:
    """Return the marker of this moment, and the slides that have changed since an earlier one, by their ids.

    A slide has changed when it began, got images, had images dealt with, was completed or reopened by a late image,
    reviewed, commented on, signed or reopened.
    """
    now = datetime.now(UTC)
    with database.reading() as connection:
        seen = _look(connection, since.since)
        changes = [
            _change(slide_id, since.seen.get(slide_id, _Seen()), seen.get(slide_id, _Seen()))
            for slide_id in sorted(seen.keys() | since.seen.keys())
            if seen.get(slide_id) != since.seen.get(slide_id)
        ]
        if now - since.since <= _LONGEST_LOOK:
            return Marker(since.since, seen), changes
        # In the same transaction: what is committed from now on is in neither look.
        shorter = now - LATEST_COMMIT
        return Marker(shorter, _look(connection, shorter)), changes


def _change(slide_id: int, before: _Seen, now: _Seen) -> SlideChange:
    return SlideChange(
        slide_id,
        has_new_images=(before.slide, before.images) != (now.slide, now.images),
        last_review_id=now.last_review_id,
        last_event_id=now.last_event_id,
    )


def _look(connection: Connection, since: datetime) -> dict[int, _Seen]:
    """Return what can be seen of each slide that anything happened to since a moment."""
    found: dict[int, _Seen] = defaultdict(_Seen)
    slides = select(Slide.id, Slide.last_image_at, Slide.completed_at).where(
        or_(Slide.completed_at >= since, Slide.completed_at.is_(None) & (Slide.last_image_at >= since))
    )
    for slide_id, last_image_at, completed_at in connection.execute(slides):
        found[slide_id].slide = (last_image_at, completed_at)
    images = (
        select(_SLIDE_OF, func.count(), func.max(Image.finished_at))
        .where(Image.finished_at >= since)
        .group_by(_SLIDE_OF)
    )
    for of_slide, count, last_finished_at in connection.execute(images):
        if of_slide is not None:  # the path of an image need not tell its slide
            found[of_slide].images = (count, last_finished_at)
    reviews = (
        select(ReviewRow.slide_id, func.max(ReviewRow.id))
        .where(ReviewRow.reviewed_at >= since)
        .group_by(ReviewRow.slide_id)
    )
    for slide_id, last in connection.execute(reviews):
        found[slide_id].last_review_id = last
    events = (
        select(SlideEventRow.slide_id, func.max(SlideEventRow.id))
        .where(SlideEventRow.at >= since)
        .group_by(SlideEventRow.slide_id)
    )
    for slide_id, last in connection.execute(events):
        found[slide_id].last_event_id = last
    return dict(found)
