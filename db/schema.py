"""The tables: what is known of every inbox, slide, image, model, classification, review and slide event.

Rows are never deleted. An image is one version of a file: when the file changes, its row is superseded and a new one begins.
What models and people say of an image is never changed, only added to. All times are in UTC. A change of this file needs a
migration in `db/migrations`. A column that is added to what people did (`ReviewRow`, `SlideEventRow`) is NULL in the rows that
are there: their hashes cover every other value.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

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
    """How far an image is."""

    PENDING = "pending"  # journalled, waits to be put into the queue
    QUEUED = "queued"  # in the queue or with a worker
    DONE = "done"  # classified and counted
    DUPLICATE = "duplicate"  # same bytes as another image of the slide; not counted
    QUARANTINED = "quarantined"  # cannot be counted; the reason is kept
    SUPERSEDED = "superseded"  # the file was overwritten; not counted


#: States of images that are not finished yet.
OPEN_STATES = (ImageState.PENDING, ImageState.QUEUED)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite stores no time zone, so it is added to what SQLite returns."""

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


#: SQLite numbers rows only in a column of its type INTEGER, which has 64 bits; PostgreSQL's has 32.
_Key = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """Base class of all tables."""


class Inbox(Base):
    """A watched folder."""

    __tablename__ = "inboxes"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)
    #: The folder's absolute path on the watcher's machine.
    root: Mapped[str] = mapped_column(String)
    #: When its watcher last wrote here that it is running.
    watched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: When a scan of the whole inbox last ended and everything that it found had settled.
    scanned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Files that are still being written.
    arriving: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    #: Files that the last scan of the whole inbox ignored, and their number by kind; NULL before the first one.
    ignored: Mapped[int | None] = mapped_column(BigInteger)
    ignored_kinds: Mapped[dict[str, int] | None] = mapped_column(JSON(none_as_null=True))


class Slide(Base):
    """One blood smear, whose cells are counted together."""

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
    #: When no image was open and none had come for the quiet period. Everything that changes the count afterwards, such as
    #: a late image, must clear it: a signature holds only for the completion for which it was given.
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: When a person withdrew the slide; NULL while it counts. Lists, exports and totals leave withdrawn slides out.
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The slide (`slides.id`) that has this slide's former files since their folder was renamed; NULL otherwise. Such a slide
    #: holds nothing; it keeps the old name, so that who asks for it finds the slide, and a new export gets a row of its own.
    renamed_to: Mapped[int | None] = mapped_column(_Key)


_CURRENT = text("state <> 'superseded'")
_OPEN = text("state IN ('pending', 'queued')")
_COUNTED = text("state = 'done'")
_QUARANTINED = text("state = 'quarantined'")
_MISSING = text("missing_since IS NOT NULL")
_SHARED = text("same_cells_in IS NOT NULL")


class Image(Base):
    """One version of one file."""

    __tablename__ = "images"
    __table_args__ = (
        Index("uq_images_current", "inbox_id", "folder", "filename", unique=True,
              sqlite_where=_CURRENT, postgresql_where=_CURRENT),
        # A slide counts no bytes twice, whatever the workers do. The bytes come first, so that it also finds them in other
        # slides.
        Index("uq_images_counted", "sha256", "slide_id", unique=True,
              sqlite_where=_COUNTED, postgresql_where=_COUNTED),
        Index("ix_images_open", "state", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_images_slide", "slide_id", "state"),
        Index("ix_images_duplicate_of", "duplicate_of", sqlite_where=text("duplicate_of IS NOT NULL"),
              postgresql_where=text("duplicate_of IS NOT NULL")),
        Index("ix_images_finished", "finished_at"),
        Index("ix_images_labelled", "slide_id", sqlite_where=text("analyzer_label IS NOT NULL"),
              postgresql_where=text("analyzer_label IS NOT NULL")),
        Index("ix_images_quarantined", "id", sqlite_where=_QUARANTINED, postgresql_where=_QUARANTINED),
        Index("ix_images_missing", "slide_id", "state", sqlite_where=_MISSING, postgresql_where=_MISSING),
        Index("ix_images_shared", "slide_id", sqlite_where=_SHARED, postgresql_where=_SHARED),
        Index("ix_images_same_cells_in", "same_cells_in", sqlite_where=_SHARED, postgresql_where=_SHARED),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    inbox_id: Mapped[int] = mapped_column(ForeignKey("inboxes.id"))
    #: None if no slide can be told from the path.
    slide_id: Mapped[int | None] = mapped_column(ForeignKey("slides.id"))
    #: Path within the inbox, in the text form of `inbox.paths`, with "/" between folders; "" is the inbox itself.
    folder: Mapped[str] = mapped_column(String)
    filename: Mapped[str] = mapped_column(String)
    #: Bytes.
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    #: The analyzer's own call; None if the path does not tell it.
    analyzer_label: Mapped[str | None] = mapped_column(String)
    state: Mapped[str] = mapped_column(String(16))
    #: How often a worker began with it. An attempt without a result was cut off, perhaps because the image kills workers.
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: It is not put into the queue before this moment.
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sha256: Mapped[str | None] = mapped_column(String(64))
    duplicate_of: Mapped[int | None] = mapped_column(ForeignKey("images.id"))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(String)
    #: Since when (UTC) complete scans have not found the file; NULL while it is there. What was counted stays counted.
    missing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Another slide (`slides.id`) that had counted the same bytes when this image was counted; NULL if none had.
    same_cells_in: Mapped[int | None] = mapped_column(_Key)


#: Conditions whose values are written into the statement, because a database uses no partial index for a parameter.
IS_OPEN = Image.state.in_([literal(state.value, literal_execute=True) for state in OPEN_STATES])
IS_CURRENT = Image.state != literal(ImageState.SUPERSEDED.value, literal_execute=True)
IS_COUNTED = Image.state == literal(ImageState.DONE.value, literal_execute=True)
IS_QUARANTINED = Image.state == literal(ImageState.QUARANTINED.value, literal_execute=True)
IS_MISSING = Image.missing_since.is_not(None)
IS_SHARED = Image.same_cells_in.is_not(None)


class Model(Base):
    """A classifier as it was used: its file, the version of its preprocessing, and its threshold."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("sha256", "preprocessing", "threshold"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String)
    version: Mapped[str] = mapped_column(String)
    #: Of the content of the card, which names the other files by theirs; in rows of version 0.9 and before, of the weights alone.
    sha256: Mapped[str] = mapped_column(String(64))
    preprocessing: Mapped[str] = mapped_column(String)
    #: A cell whose confidence is below this is unidentified.
    threshold: Mapped[float] = mapped_column(Float(53))
    #: SHA-256 of the content of the card with which it was used; NULL if an earlier version made the row.
    card_sha256: Mapped[str | None] = mapped_column(String(64))
    #: SHA-256 of the weights file; NULL if an earlier version made the row, in which `sha256` is that.
    weights_sha256: Mapped[str | None] = mapped_column(String(64))


class Classification(Base):
    """One model's call of one image; never changed, only added to."""

    __tablename__ = "classifications"
    __table_args__ = (UniqueConstraint("image_id", "model_id"),)

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    cell_class: Mapped[str] = mapped_column(String(16))
    confidence: Mapped[float] = mapped_column(Float(53))
    #: One number for each class, in the order of `CellClass`.
    probabilities: Mapped[list[float]] = mapped_column(JSON)
    #: False if the confidence is below the model's threshold, or the image is too unlike those that the model knows. The
    #: cell then counts as unidentified.
    identified: Mapped[bool]
    #: How unlike the images that the model knows, about 1 for one of them; NULL where the model cannot tell.
    ood_score: Mapped[float | None] = mapped_column("unlikeness", Float(53))
    #: Mean colour of the cell's image, 0 to 255; NULL in results of earlier versions.
    red: Mapped[float | None] = mapped_column(Float(53))
    green: Mapped[float | None] = mapped_column(Float(53))
    blue: Mapped[float | None] = mapped_column(Float(53))
    #: Distance of the image's colours from those of the model's training images, and its sharpness in units of theirs, about 1
    #: for one of them; NULL in results of earlier versions, and where the model cannot tell.
    colour_distance: Mapped[float | None] = mapped_column(Float(53))
    sharpness: Mapped[float | None] = mapped_column(Float(53))
    worker: Mapped[str] = mapped_column(String)
    classified_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Work(Base):
    """What the time of one batch of images went into; never changed, only added to."""

    __tablename__ = "work"

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    worker: Mapped[str] = mapped_column(String)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    images: Mapped[int] = mapped_column(Integer)
    reading_seconds: Mapped[float] = mapped_column(Float(53))
    decoding_seconds: Mapped[float] = mapped_column(Float(53))
    network_seconds: Mapped[float] = mapped_column(Float(53))
    #: Id of the message that the batch came with, which the logs of watcher and worker hold as well; NULL in rows of
    #: earlier versions.
    trace: Mapped[str | None] = mapped_column(String(36))


class ReviewRow(Base):
    """What one person says of one image; an image's newest review counts. Never changed, only added to."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_image", "image_id", "id"),
        Index("ix_reviews_slide", "slide_id", "id"),
        Index("ix_reviews_at", "reviewed_at"),
        # No review is undone twice, even if two people ask at the same moment.
        Index("uq_reviews_undoes", "undoes", unique=True,
              sqlite_where=text("undoes IS NOT NULL"), postgresql_where=text("undoes IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    #: Reviews that were stored in one go have the same action, and are undone in one go.
    action: Mapped[str] = mapped_column(String(32))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    #: Slide of the image, which never changes. It finds a slide's few reviews without a look at its many images.
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id"))
    #: A `ReviewClass`; NULL goes back to the automatic call.
    cell_class: Mapped[str | None] = mapped_column(String(16))
    #: The `ReviewClass` that counted before.
    was: Mapped[str] = mapped_column(String(16))
    reviewer: Mapped[str] = mapped_column(String)
    reason: Mapped[str | None] = mapped_column(String)
    reviewed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: The review of the same image that this one takes back, if it does.
    undoes: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
    #: Place in the chain of what people did, and the hash there (see `db.audit.chain`); NULL in rows of earlier versions.
    chain_position: Mapped[int | None] = mapped_column(BigInteger)
    chain_hash: Mapped[str | None] = mapped_column(String(64))


class SlideEventKind(StrEnum):
    """What can happen to a whole slide: what a person does with it, and what the watcher finds."""

    COMMENT = "comment"
    SIGN_OFF = "sign-off"
    REOPEN = "reopen"
    WITHDRAW = "withdraw"
    RESTORE = "restore"
    CONTENT_CHANGED = "content-changed"  # files changed whose cells a person had called; found by the watcher
    RENAME = "rename"  # the slide's folder got another name; found by the watcher


#: What no person did or wrote.
FOUND_BY_WATCHER = (SlideEventKind.CONTENT_CHANGED, SlideEventKind.RENAME)


class SlideEventRow(Base):
    """What one person did with one slide, or the watcher found. Never changed, only added to.

    A slide is signed while its last sign-off or reopening is a sign-off that was given for the completion that the slide still
    has.
    """

    __tablename__ = "slide_events"
    __table_args__ = (Index("ix_slide_events_slide", "slide_id", "id"), Index("ix_slide_events_at", "at"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id"))
    kind: Mapped[str] = mapped_column(String(16))
    reviewer: Mapped[str] = mapped_column(String)
    text: Mapped[str | None] = mapped_column(String)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: What a sign-off was given for: the completion, the number of counted cells, the models that called them, and the
    #: newest review of the slide, if there was one.
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    counted: Mapped[int | None] = mapped_column(Integer)
    model_ids: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    last_review_id: Mapped[int | None] = mapped_column(ForeignKey("reviews.id"))
    #: What the person who signed saw (see `db.review.result`), and what they signed (see `SignedResult`). This and the rest are
    #: NULL in sign-offs of earlier versions.
    digest: Mapped[str | None] = mapped_column(String(64))
    snapshot: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    #: What stood in the way, and the person knew: a list of objects with `code` and `message`.
    acknowledged: Mapped[list[dict[str, str]] | None] = mapped_column(JSON(none_as_null=True))
    #: The newest image of all slides, counted or not; what has a greater id came afterwards.
    last_image_id: Mapped[int | None] = mapped_column(_Key)
    #: Place in the chain of what people did, and the hash there (see `db.audit.chain`); NULL in rows of earlier versions.
    chain_position: Mapped[int | None] = mapped_column(BigInteger)
    chain_hash: Mapped[str | None] = mapped_column(String(64))


class AuditChainRow(Base):
    """The head of the chain of hashes over what people did, and how the chain began; the table has this one row."""

    __tablename__ = "audit_chain"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    #: Number of rows in the chain, and the hash of the newest one; at first 0 and the hash of the beginning.
    position: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    #: Hash over all rows of earlier versions: the reviews and slide events with ids up to these.
    beginning: Mapped[str] = mapped_column(String(64))
    last_review_id: Mapped[int] = mapped_column(BigInteger)
    last_event_id: Mapped[int] = mapped_column(BigInteger)


class OutboxRow(Base):
    """What happened to a slide that others should hear of, written in the transaction in which it happened; only added to.

    Rows are committed in the order of their ids (see `db.delivery.outbox`): who has read up to an id has missed nothing.
    """

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_slide", "slide_id", "id"), Index("ix_outbox_at", "at"))

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id"))
    #: A `ChangeKind`.
    kind: Mapped[str] = mapped_column(String(16))
    #: The slide event (`slide_events.id`); NULL for reviews and completions.
    event_id: Mapped[int | None] = mapped_column(_Key)
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class DestinationRow(Base):
    """A system that results are sent to, by the name that the settings give it."""

    __tablename__ = "destinations"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)
    #: Up to where in the outbox messages have been made for it.
    last_outbox_id: Mapped[int] = mapped_column(BigInteger)
    #: Whether the settings still named it when a sender last started.
    in_use: Mapped[bool]
    #: When a sender last wrote that it is at work for it; NULL before the first time.
    served_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Since when nothing could be sent, and why; NULL while it answers.
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failure: Mapped[str | None] = mapped_column(String)


class DeliveryState(StrEnum):
    """What became of a message."""

    WAITING = "waiting"  # to be sent, also again
    SENT = "sent"  # the receiver has accepted it
    PARKED = "parked"  # the receiver has refused it; a person decides
    GIVEN_UP = "given-up"  # a person has decided that it is not sent


_WAITING = text("state = 'waiting'")
_UNSETTLED = text("state IN ('waiting', 'parked')")


class DeliveryRow(Base):
    """One message to one destination."""

    __tablename__ = "deliveries"
    __table_args__ = (
        # Nothing that happened is told to a destination by two messages.
        UniqueConstraint("destination_id", "outbox_id"),
        Index("ix_deliveries_waiting", "destination_id", "attempts", "id",
              sqlite_where=_WAITING, postgresql_where=_WAITING),
        Index("ix_deliveries_unsettled", "destination_id", "slide_id", "id",
              sqlite_where=_UNSETTLED, postgresql_where=_UNSETTLED),
        Index("ix_deliveries_slide", "slide_id", "id"),
    )  # fmt: skip

    id: Mapped[int] = mapped_column(_Key, primary_key=True)
    destination_id: Mapped[int] = mapped_column(ForeignKey("destinations.id"))
    outbox_id: Mapped[int] = mapped_column(ForeignKey("outbox.id"))
    slide_id: Mapped[int] = mapped_column(ForeignKey("slides.id"))
    #: A `Disposition`.
    disposition: Mapped[str] = mapped_column(String(16))
    #: Names the message for the receiver (MSH-10); the same for every try, another one where the message is made anew.
    control_id: Mapped[str] = mapped_column(String(20))
    #: The message itself; NULL where a person has asked for it to be made anew.
    body: Mapped[str | None] = mapped_column(String)
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tried_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: What the receiver answered last, and what came of the last try in words.
    answer: Mapped[str | None] = mapped_column(String)
    reason: Mapped[str | None] = mapped_column(String)
    #: Who last decided about it by hand, and why.
    decided_by: Mapped[str | None] = mapped_column(String)
    decision: Mapped[str | None] = mapped_column(String)


#: All views; a view comes before those on which it is built. Migrations create them, so only this lists them.
VIEWS = (
    "slide_summary", "slide_differential", "slide_cells", "signatures", "reviewed_calls", "automatic_calls",
)  # fmt: skip
