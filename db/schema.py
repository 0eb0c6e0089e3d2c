"""The tables: what is known of every inbox, slide, image, model and classification.

Rows are never deleted. An image is one version of a file: when the file's content changes, its row is superseded and a
new one begins. What models and people say of an image is only ever added to. Changes of this file need a migration (see
`db/migrations`).
"""

from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
    literal,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class ImageState(StrEnum):
    """Where an image is on its way."""

    PENDING = "pending"  # journalled, waits to be put into the queue
    QUEUED = "queued"  # in the queue or with a worker
    DONE = "done"  # classified and counted
    DUPLICATE = "duplicate"  # same bytes as another image of the slide; not counted
    QUARANTINED = "quarantined"  # cannot be counted; the reason is kept
    SUPERSEDED = "superseded"  # the file was overwritten; not counted


#: The states in which an image still has to be dealt with.
OPEN_STATES = (ImageState.PENDING, ImageState.QUEUED)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite keeps no time zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Store as UTC."""
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return with its time zone."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


#: SQLite counts rows only in its own INTEGER; PostgreSQL needs 64 bits named.
_Key = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Base of all tables."""


class Inbox(Base):
    """A watched folder."""

    __tablename__ = "inboxes"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)
    #: The folder's absolute path on the watcher's machine.
    root: Mapped[str] = mapped_column(String)
    #: When its watcher last wrote here that it lives.
    watched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: When a full scan, and the settling of all it found, last ended.
    scanned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Files that are still being written.
    arriving: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class Slide(Base):
    """One smear, whose cells are counted together."""

    __tablename__ = "slides"
    __table_args__ = (
        UniqueConstraint("inbox_id", "name"),
        Index("ix_slides_counting", "last_image_at", sqlite_where=text("completed_at IS NULL"),
              postgresql_where=text("completed_at IS NULL")),
        Index("ix_slides_name", "name"),
        Index("ix_slides_first_image", "first_image_at", "id"),
        Index("ix_slides_completed", "completed_at"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    inbox_id: Mapped[int] = mapped_column(ForeignKey("inboxes.id"))
    name: Mapped[str] = mapped_column(String)
    first_image_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_image_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: When nothing was pending and no image had come for the quiet period. Whatever changes the count afterwards must
    #: clear it, as a late image does: a signature holds only for the completion it was given for.
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


_CURRENT = text("state <> 'superseded'")
_OPEN = text("state IN ('pending', 'queued')")
_COUNTED = text("state = 'done'")
_QUARANTINED = text("state = 'quarantined'")


class Image(Base):
    """One version of one file."""

    __tablename__ = "images"
    __table_args__ = (
        Index("uq_images_current", "inbox_id", "folder", "filename", unique=True,
              sqlite_where=_CURRENT, postgresql_where=_CURRENT),
        # No bytes are counted twice in a slide, whatever the workers do.
        Index("uq_images_counted", "slide_id", "sha256", unique=True,
              sqlite_where=_COUNTED, postgresql_where=_COUNTED),
        Index("ix_images_open", "state", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_images_slide", "slide_id", "state"),
        Index("ix_images_duplicate_of", "duplicate_of", sqlite_where=text("duplicate_of IS NOT NULL"),
              postgresql_where=text("duplicate_of IS NOT NULL")),
        Index("ix_images_finished", "finished_at"),
        Index("ix_images_quarantined", "id", sqlite_where=_QUARANTINED, postgresql_where=_QUARANTINED),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    inbox_id: Mapped[int] = mapped_column(ForeignKey("inboxes.id"))
    #: None where no slide could be told from the path.
    slide_id: Mapped[int | None] = mapped_column(ForeignKey("slides.id"))
    #: Path within the inbox, in the form of `inbox.paths`, with "/" between folders; "" is the inbox itself.
    folder: Mapped[str] = mapped_column(String)
    filename: Mapped[str] = mapped_column(String)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    #: The analyzer's own call, where the path tells it.
    analyzer_label: Mapped[str | None] = mapped_column(String)
    state: Mapped[str] = mapped_column(String(16))
    #: How often a worker began with it; one that never came back was killed by it or beside it.
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Not to be put into the queue before.
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sha256: Mapped[str | None] = mapped_column(String(64))
    duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("images.id"))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(String)


#: Conditions whose values are written into the statement: a partial index cannot be used for a parameter's sake.
IS_OPEN = Image.state.in_([literal(state.value, literal_execute=True) for state in OPEN_STATES])
IS_CURRENT = Image.state != literal(ImageState.SUPERSEDED.value, literal_execute=True)
IS_COUNTED = Image.state == literal(ImageState.DONE.value, literal_execute=True)
IS_QUARANTINED = Image.state == literal(ImageState.QUARANTINED.value, literal_execute=True)


class Model(Base):
    """A classifier as it was used: its file, how images were prepared for it, and its threshold."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("sha256", "preprocessing", "threshold"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String)
    version: Mapped[str] = mapped_column(String)
    sha256: Mapped[str] = mapped_column(String(64))
    preprocessing: Mapped[str] = mapped_column(String)
    #: Confidence under which a cell is unidentified.
    threshold: Mapped[float] = mapped_column(Float(53))


class Classification(Base):
    """What one model says of one image; never changed, only added to."""

    __tablename__ = "classifications"
    __table_args__ = (UniqueConstraint("image_id", "model_id"),)

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    cell_class: Mapped[str] = mapped_column(String(16))
    confidence: Mapped[float] = mapped_column(Float(53))
    #: One number per class, in the order of `CellClass`.
    probabilities: Mapped[list[float]] = mapped_column(JSON)
    #: False where the confidence is under the model's threshold or the image too unlike those that the model knows: the
    #: cell counts as unidentified.
    identified: Mapped[bool]
    #: How unlike the images that the model knows, about 1 for one of them; NULL where the model cannot tell.
    unlikeness: Mapped[float | None] = mapped_column(Float(53))
    #: Mean colour of the cell's image, 0 to 255; NULL in results of earlier versions.
    red: Mapped[float | None] = mapped_column(Float(53))
    green: Mapped[float | None] = mapped_column(Float(53))
    blue: Mapped[float | None] = mapped_column(Float(53))
    worker: Mapped[str] = mapped_column(String)
    classified_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Work(Base):
    """What the time of one batch went into; never changed, only added to."""

    __tablename__ = "work"

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    worker: Mapped[str] = mapped_column(String)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    images: Mapped[int] = mapped_column(Integer)
    reading_seconds: Mapped[float] = mapped_column(Float(53))
    decoding_seconds: Mapped[float] = mapped_column(Float(53))
    network_seconds: Mapped[float] = mapped_column(Float(53))
    #: Id of the message that the batch came with, as the logs of watcher and worker have it; NULL in rows of earlier
    #: versions.
    trace: Mapped[str | None] = mapped_column(String(36))


class ReviewRow(Base):
    """What one person says of one image; the newest of an image counts. Never changed, only added to."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_image", "image_id", "id"),
        Index("ix_reviews_slide", "slide_id", "id"),
        Index("ix_reviews_at", "reviewed_at"),
        # Nothing is undone twice, whoever asks at the same moment.
        Index("uq_reviews_undoes", "undoes", unique=True,
              sqlite_where=text("undoes IS NOT NULL"), postgresql_where=text("undoes IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    #: What was done in one go has one number; it is also undone in one go.
    action: Mapped[str] = mapped_column(String(32))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    #: The image's, which never changes: a slide's few reviews are found without looking at its many images.
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id"))
    #: A `ReviewClass`; NULL goes back to the automatic call.
    cell_class: Mapped[str | None] = mapped_column(String(16))
    #: The `ReviewClass` that counted before.
    was: Mapped[str] = mapped_column(String(16))
    reviewer: Mapped[str] = mapped_column(String)
    reason: Mapped[str | None] = mapped_column(String)
    reviewed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: Set where this row takes back another one of the same image.
    undoes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))


class SlideEventKind(StrEnum):
    """What a person can do with a whole slide."""

    COMMENT = "comment"
    SIGN_OFF = "sign-off"
    REOPEN = "reopen"


class SlideEventRow(Base):
    """What one person did with one slide. Never changed, only added to.

    A slide is signed while its last sign-off or reopening is a sign-off, and that was given for the completion that the
    slide still has.
    """

    __tablename__ = "slide_events"
    __table_args__ = (Index("ix_slide_events_slide", "slide_id", "id"), Index("ix_slide_events_at", "at"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id"))
    kind: Mapped[str] = mapped_column(String(16))
    reviewer: Mapped[str] = mapped_column(String)
    text: Mapped[str | None] = mapped_column(String)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: What a sign-off was about: the completion, the number of cells counted, the models that called them, and the
    #: newest review of the slide, if there was one.
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    counted: Mapped[int | None] = mapped_column(Integer)
    model_ids: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    last_review_id: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
