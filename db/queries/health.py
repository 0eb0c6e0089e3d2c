"""The health of an installation, which is asked for so often that it must not cost more as the archive grows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from smearcount.db.engine.database import Database
from smearcount.db.schema import IS_OPEN, Classification, Image, ImageState, Inbox, Slide

#: Rates are of so many files, those that were finished last, and of none that was finished longer ago.
RECENT_FILES = 1000
RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RecentFiles:
    """What became of the files that were finished last, by the models' calls alone."""

    identified: int = 0
    unidentified: int = 0
    duplicates: int = 0
    quarantined: int = 0

    @property
    def cells(self) -> int:
        """Files that were counted, including unidentified cells."""
        return self.identified + self.unidentified

    @property
    def files(self) -> int:
        """All files."""
        return self.cells + self.duplicates + self.quarantined


@dataclass(frozen=True, slots=True)
class InboxHealth:
    """How one inbox is doing; times are in UTC."""

    inbox_id: int
    name: str
    #: When its watcher last wrote that it is running; None if it never did.
    watched_at: datetime | None
    #: When the last image of any of its slides came; None if none ever did.
    last_image_at: datetime | None
    #: Files that are still being written.
    arriving: int
    #: Files that the last full scan ignored, by kind; None before the first one.
    ignored_kinds: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How the whole installation is doing."""

    inboxes: tuple[InboxHealth, ...]
    #: When (UTC) the open image that has waited longest was seen; None if no image is open.
    oldest_pending_at: datetime | None
    recent: RecentFiles


def read_health(database: Database) -> Health:
    """Return the health of the installation at this moment, from one state of the database."""
    with database.reading() as connection:
        return Health(
            inboxes=_inboxes(connection),
            oldest_pending_at=connection.execute(select(func.min(Image.seen_at)).where(IS_OPEN)).scalar_one(),
            recent=_recent(connection),
        )


def _inboxes(connection: Connection) -> tuple[InboxHealth, ...]:
    # Read from the slides, which are far fewer than images: no index holds when an image was seen.
    last = select(Slide.inbox_id, func.max(Slide.last_image_at).label("image_at")).group_by(Slide.inbox_id).subquery()
    query = (
        select(Inbox.id, Inbox.name, Inbox.watched_at, last.c.image_at, Inbox.arriving, Inbox.ignored_kinds)
        .outerjoin(last, last.c.inbox_id == Inbox.id)
        .order_by(Inbox.id)
    )
    return tuple(InboxHealth(*row) for row in connection.execute(query))


def _recent(connection: Connection) -> RecentFiles:
    newest = connection.execute(
        select(Image.id, Image.state)
        .where(
            Image.finished_at >= datetime.now(UTC) - RECENT,
            Image.state.in_([ImageState.DONE, ImageState.DUPLICATE, ImageState.QUARANTINED]),
        )
        .order_by(Image.finished_at.desc())
        .limit(RECENT_FILES)
    ).all()
    calls = (
        select(Classification.image_id, Classification.identified)
        .where(Classification.image_id.in_([image_id for image_id, state in newest if state == ImageState.DONE]))
        .order_by(Classification.id)
    )
    # If an image has several calls, the newest one comes last and stays in the dictionary.
    is_identified = dict(connection.execute(calls).all())
    states = Counter(state for _, state in newest)
    identified = sum(is_identified.values())
    return RecentFiles(
        identified=identified,
        unidentified=len(is_identified) - identified,
        duplicates=states[ImageState.DUPLICATE],
        quarantined=states[ImageState.QUARANTINED],
    )
