"""The tables: what is known of every inbox, slide, image, model and classification.

Rows are never deleted. An image is one version of a file: when the file's content changes, its row is superseded and a
new one begins. Changes of this file need a migration (see `db/migrations`).
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
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    inbox_id: Mapped[int] = mapped_column(ForeignKey("inboxes.id"))
    name: Mapped[str] = mapped_column(String)
    first_image_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_image_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: When nothing was pending and no image had come for the quiet period; a late image clears it.
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


_CURRENT = text("state <> 'superseded'")
_OPEN = text("state IN ('pending', 'queued')")
_COUNTED = text("state = 'done'")


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
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    inbox_id: Mapped[int] = mapped_column(ForeignKey("inboxes.id"))
    #: None where no slide could be told from the path.
    slide_id: Mapped[int | None] = mapped_column(ForeignKey("slides.id"))
    #: Path within the inbox, in the form of `db.names`, with "/" between folders; "" is the inbox itself.
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
    worker: Mapped[str] = mapped_column(String)
    classified_at: Mapped[datetime] = mapped_column(UtcDateTime)
