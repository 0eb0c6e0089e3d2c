"""What the database is told and what it hands out: plain frozen records, no tables."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from smearcount.db.schema import ImageState
from smearcount.inbox.versions import FileVersion


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be counted: a stable code, and the reason for people."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as the watcher saw it; names in the form of `inbox.paths`."""

    folder: str
    filename: str
    #: Bytes.
    size: int
    mtime_ns: int
    #: None where no slide could be told from the path.
    slide: str | None
    analyzer_label: str | None = None
    #: Set where the file's name, kind or place already forbids counting it.
    refusal: Refusal | None = None
    #: Of its bytes, where they were read.
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A journalled file, and the code of its refusal if a later look at the unchanged file may overturn it."""

    version: FileVersion
    held_against: str | None = None


@dataclass(frozen=True)
class Journalled:
    """What recording files came to."""

    new: int = 0
    superseded: int = 0
    refused: int = 0

    def __add__(self, other: "Journalled") -> "Journalled":
        """Sum up."""
        return Journalled(self.new + other.new, self.superseded + other.superseded, self.refused + other.refused)


@dataclass(frozen=True)
class Batch:
    """Images of one slide that travel in one message."""

    slide_id: int
    image_ids: tuple[int, ...]
    #: Those among them that some worker's machine did not show as they were journalled.
    complained_of: tuple[int, ...] = ()


@dataclass(frozen=True)
class WorkItem:
    """An image a worker has begun with."""

    image_id: int
    #: Absolute path of the inbox on the machine of whoever asked.
    root: str
    #: Path within the inbox, in the form of `inbox.paths`.
    path: str
    version: FileVersion
    #: How often a worker has begun with it, this time included.
    attempts: int
    slide_id: int | None = None
    #: Of the bytes that were read first; None where nobody has.
    sha256: str | None = None


@dataclass(frozen=True)
class ModelUsed:
    """A classifier as it was used."""

    name: str
    version: str
    sha256: str
    preprocessing: str
    threshold: float


@dataclass(frozen=True)
class TimeSpent:
    """What the time of a batch of images went into, in seconds."""

    images: int
    reading: float
    decoding: float
    network: float


@dataclass(frozen=True)
class Classified:
    """A result: what the model said of an image of these bytes."""

    image_id: int
    sha256: str
    cell_class: str
    confidence: float
    probabilities: tuple[float, ...]
    identified: bool
    unlikeness: float | None = None
    #: Mean red, green and blue of the image, 0-255.
    colour: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Refused:
    """A result: the image cannot be classified."""

    image_id: int
    refusal: Refusal
    sha256: str | None = None


@dataclass(frozen=True)
class Unseen:
    """No result yet: the worker's machine does not show the image as it was journalled; another's may."""

    image_id: int
    #: One of `db.ingest.visibility`.
    code: str
    reason: str


Outcome = Classified | Refused | Unseen


@dataclass(frozen=True)
class ImageLine:
    """One image, for people."""

    id: int
    slide: str | None
    path: str
    state: ImageState
    cell_class: str | None
    confidence: float | None
    identified: bool | None
    #: Confidence under which the model leaves a cell unidentified.
    threshold: float | None
    #: See `Classification.unlikeness`.
    unlikeness: float | None
    analyzer_label: str | None
    attempts: int
    reason_code: str | None
    reason: str | None
    #: For a duplicate: the path of the image that is counted.
    duplicate_of: str | None
    seen_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class JournalledFile:
    """A file as it was journalled."""

    #: Path within the inbox, in the form of `inbox.paths`.
    path: str
    version: FileVersion
    #: Whether it still has to be read.
    is_open: bool


#: A watcher writes down that it lives more often than this, in seconds.
_ALIVE_SECONDS: Final = 15


def watcher_lives(watched_at: datetime | None, now: datetime) -> bool:
    """Say whether a watcher that last wrote then that it lives still does."""
    return watched_at is not None and (now - watched_at).total_seconds() <= _ALIVE_SECONDS


@dataclass(frozen=True)
class InboxLine:
    """One inbox, for people."""

    name: str
    root: str
    watched_at: datetime | None
    scanned_at: datetime | None
    arriving: int


@dataclass(frozen=True)
class Progress:
    """Where all images are."""

    pending: int
    queued: int
    done: int
    duplicates: int
    quarantined: int
    superseded: int
    slides: int
    slides_complete: int
    #: Images finished per second, over the last minute.
    rate_per_second: float
    #: When the image that has waited longest was seen.
    oldest_pending_at: datetime | None

    @property
    def open(self) -> int:
        """Images that still have to be dealt with."""
        return self.pending + self.queued

    @property
    def finished(self) -> int:
        """Images that have been dealt with."""
        return self.done + self.duplicates + self.quarantined
