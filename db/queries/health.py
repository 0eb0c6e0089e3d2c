"""What tells whether all is well, asked so often that it must not cost more as the archive grows."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, select

from smearcount.db.engine.database import Database
from smearcount.db.schema import IS_OPEN, Classification, Image, ImageState, Inbox, Slide

#: Rates are of so many files, those dealt with last, and of none that is older.
RECENT_FILES = 1000
RECENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RecentFiles:
    """What became of the files that were dealt with last, by the models' calls alone."""

    identified: int = 0
    unidentified: int = 0
    duplicates: int = 0
    quarantined: int = 0

    @property
    def cells(self) -> int:
        """Files that were counted, the unidentified ones among them."""
        return self.identified + self.unidentified

    @property
    def files(self) -> int:
        """All of them."""
        return self.cells + self.duplicates + self.quarantined


@dataclass(frozen=True, slots=True)
class InboxSigns:
    """The signs of life of one inbox."""

    inbox_id: int
    name: str
    #: When its watcher last wrote that it lives.
    watched_at: datetime | None
    #: When an image last came that belongs to a slide.
    last_image_at: datetime | None
    #: Files that are still being written.
    arriving: int


@dataclass(frozen=True, slots=True)
class VitalSigns:
    """The signs of life of the whole installation."""

    inboxes: tuple[InboxSigns, ...]
    #: When the image that has waited longest was seen.
    oldest_pending_at: datetime | None
    recent: RecentFiles


def vital_signs(database: Database) -> VitalSigns:
    """Return how the installation is doing now."""
    with database.reading() as connection:
        return VitalSigns(
            inboxes=_inboxes(connection),
            oldest_pending_at=connection.execute(select(func.min(Image.seen_at)).where(IS_OPEN)).scalar_one(),
            recent=_recent(connection),
        )


def _inboxes(connection: Connection) -> tuple[InboxSigns, ...]:
    # Of the slides, of which there are far fewer than images: when an image was seen stands in no index.
    last = select(Slide.inbox_id, func.max(Slide.last_image_at).label("image_at")).group_by(Slide.inbox_id).subquery()
    query = (
        select(Inbox.id, Inbox.name, Inbox.watched_at, last.c.image_at, Inbox.arriving)
        .outerjoin(last, last.c.inbox_id == Inbox.id)
        .order_by(Inbox.id)
    )
    return tuple(InboxSigns(*row) for row in connection.execute(query))


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
    # Of several calls of an image the newest comes last, and stays.
    is_identified = dict(connection.execute(calls).all())
    states = Counter(state for _, state in newest)
    identified = sum(is_identified.values())
    return RecentFiles(
        identified=identified,
        unidentified=len(is_identified) - identified,
        duplicates=states[ImageState.DUPLICATE],
        quarantined=states[ImageState.QUARANTINED],
    )
