"""What goes into the database and comes out of it: plain frozen records, not tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from smearcount.db.schema import ImageState
from smearcount.differential.tally import Calls
from smearcount.inbox.versions import FileVersion


@dataclass(frozen=True)
class Refusal:
    """Why a file cannot be counted: a stable code for programs, and the reason for people."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as the watcher saw it; names are in the text form of `inbox.paths`."""

    folder: str
    filename: str
    #: Bytes.
    size: int
    mtime_ns: int
    #: None if no slide can be told from the path.
    slide: str | None
    analyzer_label: str | None = None
    #: Set if the file's name, kind or place already forbids counting it.
    refusal: Refusal | None = None
    #: SHA-256 (hex) of its bytes; None if they were not read.
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A journalled file."""

    version: FileVersion
    #: Code of its refusal, if a later look at the unchanged file may overturn it.
    held_against: str | None = None
    image_id: int = field(default=0, compare=False)
    #: Whether it is noted as missing, so that the journal should hear that it is there.
    is_missing: bool = False


@dataclass(frozen=True)
class Journalled:
    """What came of journalling some files."""

    #: How many rows were added, superseded and refused.
    new: int = 0
    superseded: int = 0
    refused: int = 0
    #: Files with another time and the bytes that were journalled: they are the same images.
    unchanged: int = 0
    #: Superseded images that a person had called.
    calls_lost: int = 0
    #: Withdrawn slides that images came for.
    into_withdrawn: int = 0
    #: Files of which only the time is another one than journalled. Nothing was done: whether they are the same images, their
    #: SHA-256 must tell. The caller journals them again with it.
    to_compare: tuple[SeenFile, ...] = ()

    def __add__(self, other: "Journalled") -> "Journalled":
        """Return both together."""
        return Journalled(
            self.new + other.new,
            self.superseded + other.superseded,
            self.refused + other.refused,
            self.unchanged + other.unchanged,
            self.calls_lost + other.calls_lost,
            self.into_withdrawn + other.into_withdrawn,
            self.to_compare + other.to_compare,
        )


@dataclass(frozen=True)
class Batch:
    """Images of one slide for one message."""

    slide_id: int
    image_ids: tuple[int, ...]
    #: Those of them that a worker's machine did not show as they were journalled.
    not_visible: tuple[int, ...] = ()


@dataclass(frozen=True)
class WorkItem:
    """An image that is still to be classified."""

    image_id: int
    #: Absolute path of the inbox on the machine that asked.
    root: str
    #: Path within the inbox, in the text form of `inbox.paths`.
    path: str
    version: FileVersion
    #: How often a worker has begun with it, including this time if it has just begun.
    attempts: int
    slide_id: int | None = None
    #: SHA-256 (hex) of the bytes that were read first; None if they have not been read yet.
    sha256: str | None = None


@dataclass(frozen=True)
class TimeSpent:
    """What the time of a batch of images, or of all batches, went into; times are in seconds."""

    images: int
    reading: float
    decoding: float
    network: float


@dataclass(frozen=True)
class Classified:
    """A result: the model's call of an image with these bytes."""

    image_id: int
    #: Hex.
    sha256: str
    cell_class: str
    #: 0 to 1.
    confidence: float
    #: One for each class, in the order of `CellClass`.
    probabilities: tuple[float, ...]
    identified: bool
    ood_score: float | None = None
    #: Mean red, green and blue of the image, 0 to 255.
    colour: tuple[float, float, float] | None = None
    #: See `Classification`.
    colour_distance: float | None = None
    sharpness: float | None = None


@dataclass(frozen=True)
class Refused:
    """A result: the image cannot be classified."""

    image_id: int
    refusal: Refusal
    sha256: str | None = None


@dataclass(frozen=True)
class NotVisible:
    """No result yet: this worker's machine does not show the image as it was journalled; another one may."""

    image_id: int
    #: One of the codes in `db.ingest.visibility`.
    code: str
    reason: str


Outcome = Classified | Refused | NotVisible


@dataclass(frozen=True)
class ImageLine:
    """One image, for people."""

    id: int
    slide: str | None
    path: str
    state: ImageState
    #: As it counts by the calls asked for; where it is not identified, the class that the model found likeliest.
    cell_class: str | None
    #: The model's, of the class that it found likeliest.
    confidence: float | None
    #: Whether it is in a class by the calls asked for.
    identified: bool | None
    #: Confidence under which the model leaves a cell unidentified.
    threshold: float | None
    #: See `Classification.ood_score`.
    ood_score: float | None
    analyzer_label: str | None
    attempts: int
    reason_code: str | None
    reason: str | None
    #: For a duplicate: the path of the image that is counted.
    duplicate_of: str | None
    seen_at: datetime
    finished_at: datetime | None
    #: Whose call `cell_class` and `identified` are; None before any call.
    calls: Calls | None
    automatic_class: str | None
    automatic_identified: bool | None
    #: The `ReviewClass` that a person called it; if nobody did, or went back to the model's call, this and the next are None.
    reviewed: str | None
    reviewer: str | None
    reviewed_at: datetime | None
    review_reason: str | None


@dataclass(frozen=True)
class JournalledFile:
    """A file as it was journalled."""

    #: Path within the inbox, in the text form of `inbox.paths`.
    path: str
    version: FileVersion
    #: Whether a worker still has to read it.
    is_open: bool


@dataclass(frozen=True)
class InboxLine:
    """One inbox, for people; times are in UTC."""

    name: str
    root: str
    watched_at: datetime | None
    scanned_at: datetime | None
    arriving: int
    #: Files that the last full scan ignored, by kind; None before the first one.
    ignored_kinds: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Progress:
    """How many images and slides are in which state."""

    pending: int
    queued: int
    done: int
    duplicates: int
    quarantined: int
    superseded: int
    slides: int
    slides_complete: int
    #: Images finished per second, over the last minute or since the first one within it.
    rate_per_second: float
    #: When (UTC) the open image that has waited longest was seen; None if no image is open.
    oldest_pending_at: datetime | None

    @property
    def open(self) -> int:
        """Images that are not finished yet."""
        return self.pending + self.queued

    @property
    def finished(self) -> int:
        """Images that are finished and not superseded."""
        return self.done + self.duplicates + self.quarantined
