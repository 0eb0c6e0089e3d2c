"""Single images: lines that say what became of each, and where an image's file is."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, select
from sqlalchemy.orm import aliased

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import is_key
from smearcount.db.errors import UnknownImage
from smearcount.db.queries.counts import find_slide
from smearcount.db.records import ImageLine
from smearcount.db.review.effective_calls import CALL, IS_CALL, IS_REVIEW, REVIEW
from smearcount.db.schema import Image, ImageState, Inbox, Model, Slide
from smearcount.differential.classes import ReviewClass
from smearcount.differential.tally import Calls
from smearcount.inbox.mounts import Mounts
from smearcount.inbox.paths import joined


@dataclass(frozen=True, slots=True)
class ImageFile:
    """Where an image's file is; both names are in the form of `inbox.paths`, which `from_text` turns back."""

    #: Absolute path of the inbox on this machine.
    root: str
    #: Path within the inbox.
    path: str
    #: Size in bytes and modification time in nanoseconds of the journalled version; the file may be a newer one by now.
    size: int
    mtime_ns: int
    #: SHA-256 (hex) of the bytes that were counted, or else read first; None if the file has not been read yet.
    sha256: str | None


def image_lines(
    database: Database,
    *,
    slide: str | None = None,
    inbox: str | None = None,
    states: Collection[ImageState] = (),
    limit: int | None = None,
    calls: Calls = Calls.REVIEWED,
) -> list[ImageLine]:
    """Return images in the order in which they came.

    Args:
        database: where images are kept.
        slide: name of a slide; None for all slides and the files of no slide.
        inbox: name of an inbox; None for all inboxes.
        states: only images in these states; empty for all but superseded ones.
        limit: largest number of images; None for no limit.
        calls: whether a person's call of an image is shown before the model's, or the model's alone.

    Raises:
        UnknownSlide: no slide has that name, or slides of several inboxes have it and `inbox` does not say which.
    """
    counted = aliased(Image)
    query = (
        select(
            Image.id, Slide.name.label("slide"), Image.folder, Image.filename, Image.state, CALL.cell_class,
            CALL.confidence, CALL.identified, Model.threshold, CALL.ood_score.label("ood_score"), Image.analyzer_label,
            Image.attempts, Image.reason_code, Image.reason,
            counted.folder.label("counted_folder"), counted.filename.label("counted_filename"),
            Image.seen_at, Image.finished_at,
            REVIEW.cell_class.label("reviewed"), REVIEW.reviewer, REVIEW.reviewed_at, REVIEW.reason.label("review_reason"),
        )
        .join(Inbox, Inbox.id == Image.inbox_id)
        .outerjoin(Slide, Slide.id == Image.slide_id)
        .outerjoin(CALL, IS_CALL)
        .outerjoin(Model, Model.id == CALL.model_id)
        .outerjoin(REVIEW, and_(IS_REVIEW, REVIEW.cell_class.is_not(None)))
        .outerjoin(counted, counted.id == Image.duplicate_of)
        .order_by(Image.id)
    )  # fmt: skip
    query = query.where(Image.state.in_(states) if states else Image.state != ImageState.SUPERSEDED)
    if inbox is not None:
        query = query.where(Inbox.name == inbox)
    if limit is not None:
        query = query.limit(limit)
    with database.reading() as connection:
        if slide is not None:
            query = query.where(Image.slide_id == find_slide(connection, slide, inbox).id)
        return [_image_line(row, calls) for row in connection.execute(query)]


def image_file(database: Database, image_id: int, mounts: Mounts) -> ImageFile:
    """Return where an image's file is on this machine, which sees the inboxes as `mounts` says.

    Raises:
        UnknownImage: there is no such image.
    """
    query = (
        select(Inbox.name, Inbox.root, Image.folder, Image.filename, Image.size, Image.mtime_ns, Image.sha256)
        .join(Inbox, Inbox.id == Image.inbox_id)
        .where(Image.id == image_id)
    )
    with database.reading() as connection:
        row = connection.execute(query).first() if is_key(image_id) else None
    if row is None:
        raise UnknownImage(f"there is no image {image_id}")
    root = mounts.folder(row.name, row.root)
    return ImageFile(root, joined(row.folder, row.filename), row.size, row.mtime_ns, row.sha256)


def _image_line(row: Row[*tuple[Any, ...]], calls: Calls) -> ImageLine:
    values = dict(row._mapping)  # noqa: SLF001 (SQLAlchemy's documented way to the columns' names)
    folder, filename = values.pop("folder"), values.pop("filename")
    counted_folder, counted_filename = values.pop("counted_folder"), values.pop("counted_filename")
    automatic = {"automatic_class": values["cell_class"], "automatic_identified": values["identified"]}
    values |= automatic | {"state": ImageState(values["state"]), "calls": None}
    if values["cell_class"] is not None:
        values["calls"] = Calls.AUTOMATIC
    if values["reviewed"] is not None and calls is Calls.REVIEWED:
        called = ReviewClass(values["reviewed"]).cell_class
        values |= {"calls": Calls.REVIEWED, "identified": called is not None}
        values["cell_class"] = values["cell_class"] if called is None else called.value
    return ImageLine(
        **values,
        path=joined(folder, filename),
        duplicate_of=joined(counted_folder, counted_filename) if counted_filename is not None else None,
    )
