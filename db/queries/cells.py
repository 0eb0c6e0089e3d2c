"""The cells of a slide as a person looks through them: by class, those that the model was least sure of first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, Row, Select, case, func, literal, select, tuple_

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import cursor, is_key, values_of
from smearcount.db.errors import UnknownImage
from smearcount.db.review.effective_calls import CALL, EFFECTIVE_CLASS, IS_CALL, IS_REVIEW, REVIEW
from smearcount.db.review.reviews import require_slide
from smearcount.db.schema import IS_COUNTED, IS_QUARANTINED, Image, ImageState, Inbox, Model, Slide
from smearcount.differential.classes import WBC_CLASSES, CellClass, ReviewClass
from smearcount.inbox.mounts import Mounts
from smearcount.inbox.paths import joined

#: The order in which classes are shown: what waits for a person's call, then as a differential is written.
GALLERY_ORDER: tuple[ReviewClass, ...] = (
    ReviewClass.UNIDENTIFIED,
    *(ReviewClass(cell_class.value) for cell_class in WBC_CLASSES),
    ReviewClass.ERYTHROBLAST,
    ReviewClass.PLATELET,
)
#: What is not counted comes after all that is.
_LAST = len(GALLERY_ORDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class AutomaticCall:
    """What the newest model said of a cell."""

    #: The likeliest class, even where the cell is unidentified.
    cell_class: CellClass
    confidence: float
    #: By class.
    probabilities: dict[CellClass, float]
    identified: bool
    #: See `Classification.unlikeness`.
    unlikeness: float | None
    model_name: str
    model_version: str
    model_sha256: str
    #: Confidence under which the model leaves a cell unidentified.
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One image of a slide."""

    id: int
    slide_id: int | None
    state: ImageState
    #: Path within the inbox; may identify a patient.
    path: str
    analyzer_label: str | None
    #: None where no model has seen it.
    automatic: AutomaticCall | None
    #: What it counts as; None if it is not counted.
    effective: ReviewClass | None
    #: The newest review; the others are None if there is none.
    review_id: int | None
    #: What it called the cell; None if nobody did, or if it went back to the automatic call.
    reviewed: ReviewClass | None
    reviewer: str | None
    reviewed_at: datetime | None
    review_reason: str | None
    #: Why it is quarantined.
    reason_code: str | None
    reason: str | None
    #: For a duplicate: the image that is counted.
    duplicate_of: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CellPage:
    """Some cells of a list."""

    cells: list[Cell]
    #: What to ask for to get the next page; None at the end.
    next: str | None


@dataclass(frozen=True, slots=True)
class ImageFile:
    """Where an image's file is; both names in the form of `inbox.paths`, which `from_text` turns back."""

    #: Absolute path of the inbox on this machine.
    root: str
    #: Path within the inbox.
    path: str
    #: Bytes and time of the version that was journalled; another one may lie there by now.
    size: int
    mtime_ns: int
    #: Of the bytes that were counted, or read first; None where nobody has read it.
    sha256: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QuarantinedFile:
    """A file that could not be counted."""

    id: int
    #: None where no slide could be told from the path.
    slide_id: int | None
    slide: str | None
    inbox: str
    path: str
    size: int
    reason_code: str
    reason: str
    attempts: int
    seen_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class QuarantinedPage:
    """Some quarantined files of all slides."""

    files: list[QuarantinedFile]
    #: What to ask for to get the next page; None at the end.
    next: str | None


_RANK: ColumnElement[int] = case(
    (IS_COUNTED, case({name.value: rank for rank, name in enumerate(GALLERY_ORDER)}, value=EFFECTIVE_CLASS)),
    else_=_LAST,
)
_CONFIDENCE: ColumnElement[float] = func.coalesce(CALL.confidence, literal(2.0, Float))


def cells(  # noqa: PLR0913 (all but the first two are given by name, and seldom)
    database: Database,
    slide_id: int,
    *,
    cell_class: ReviewClass | None = None,
    states: Collection[ImageState] = (),
    below: float | None = None,
    reviewed_only: bool = False,
    after: str | None = None,
    limit: int = 200,
) -> CellPage:
    """Return a page of a slide's images, by class and confidence; superseded ones only when asked for by state.

    Args:
        database: where they are kept.
        slide_id: the slide.
        cell_class: only counted cells of this class, as they count now.
        states: only images in these states; empty for all but superseded ones.
        below: only those with a confidence of the model below this.
        reviewed_only: only those that a person has called.
        after: what an earlier page named as the next.
        limit: most images on the page.

    Raises:
        UnknownSlide: there is no such slide.
        UnknownPage: `after` names no page of this list.
        ValueError: the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"a page has at least one line, not {limit}")
    query = _cells().where(Image.slide_id == slide_id)
    query = query.where(Image.state.in_(states) if states else Image.state != ImageState.SUPERSEDED)
    if cell_class is not None:
        query = query.where(IS_COUNTED, EFFECTIVE_CLASS.in_([cell_class]))
    if below is not None:
        query = query.where(CALL.confidence < below)
    if reviewed_only:
        query = query.where(REVIEW.cell_class.is_not(None))
    if after is not None:
        place = (_RANK, _CONFIDENCE, Image.id)
        last = tuple_(*values_of(after, "cells", (int, float, int)), types=[part.type for part in place])
        query = query.where(tuple_(*place) > last)
    with database.reading() as connection:
        require_slide(connection, slide_id)
        rows = connection.execute(query.order_by(_RANK, _CONFIDENCE, Image.id).limit(limit + 1)).all()
    shown = rows[:limit]
    is_last = len(rows) <= limit
    return CellPage(
        [_cell(row) for row in shown],
        None if is_last else cursor("cells", (shown[-1].rank, shown[-1].place, shown[-1].id)),
    )


def cell(database: Database, image_id: int) -> Cell:
    """Return one image, whatever its state.

    Raises:
        UnknownImage: there is no such image.
    """
    with database.reading() as connection:
        row = connection.execute(_cells().where(Image.id == image_id)).first() if is_key(image_id) else None
    if row is None:
        raise UnknownImage(f"there is no image {image_id}")
    return _cell(row)


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


def quarantined(database: Database, *, after: str | None = None, limit: int = 200) -> QuarantinedPage:
    """Return a page of the quarantined files of all slides and of none, newest first.

    Raises:
        UnknownPage: `after` names no page of this list.
        ValueError: the limit is below 1.
    """
    if limit < 1:
        raise ValueError(f"a page has at least one line, not {limit}")
    query = (
        select(
            Image.id, Image.slide_id, Slide.name.label("slide"), Inbox.name.label("inbox"), Image.folder,
            Image.filename, Image.size, Image.reason_code, Image.reason, Image.attempts, Image.seen_at,
            Image.finished_at,
        )
        .join(Inbox, Inbox.id == Image.inbox_id)
        .outerjoin(Slide, Slide.id == Image.slide_id)
        .where(IS_QUARANTINED)
        .order_by(Image.id.desc())
        .limit(limit + 1)
    )  # fmt: skip
    if after is not None:
        query = query.where(Image.id < values_of(after, "quarantined", (int,))[0])
    with database.reading() as connection:
        rows = connection.execute(query).all()
    shown = rows[:limit]
    return QuarantinedPage(
        [_quarantined(row) for row in shown],
        None if len(rows) <= limit else cursor("quarantined", (shown[-1].id,)),
    )


def _cells() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Image.id, Image.slide_id, Image.state, Image.folder, Image.filename, Image.analyzer_label,
            Image.reason_code, Image.reason, Image.duplicate_of, Image.sha256,
            CALL.cell_class, CALL.confidence, CALL.probabilities, CALL.identified, CALL.unlikeness,
            Model.name.label("model_name"), Model.version, Model.sha256.label("model_sha256"), Model.threshold,
            EFFECTIVE_CLASS.label("effective"), REVIEW.id.label("review_id"), REVIEW.cell_class.label("reviewed"),
            REVIEW.reviewer, REVIEW.reviewed_at, REVIEW.reason.label("review_reason"),
            _RANK.label("rank"), _CONFIDENCE.label("place"),
        )
        .select_from(Image)
        .outerjoin(CALL, IS_CALL)
        .outerjoin(Model, Model.id == CALL.model_id)
        .outerjoin(REVIEW, IS_REVIEW)
    )  # fmt: skip


def _cell(row: Row[*tuple[Any, ...]]) -> Cell:
    automatic = None
    if row.cell_class is not None:
        automatic = AutomaticCall(
            cell_class=CellClass(row.cell_class),
            confidence=row.confidence,
            probabilities=dict(zip(CellClass, row.probabilities, strict=True)),
            identified=row.identified,
            unlikeness=row.unlikeness,
            model_name=row.model_name,
            model_version=row.version,
            model_sha256=row.model_sha256,
            threshold=row.threshold,
        )
    return Cell(
        id=row.id,
        slide_id=row.slide_id,
        state=ImageState(row.state),
        path=joined(row.folder, row.filename),
        analyzer_label=row.analyzer_label,
        automatic=automatic,
        effective=ReviewClass(row.effective) if row.state == ImageState.DONE else None,
        review_id=row.review_id,
        reviewed=None if row.reviewed is None else ReviewClass(row.reviewed),
        reviewer=row.reviewer,
        reviewed_at=row.reviewed_at,
        review_reason=row.review_reason,
        reason_code=row.reason_code,
        reason=row.reason,
        duplicate_of=row.duplicate_of,
        sha256=row.sha256,
    )


def _quarantined(row: Row[*tuple[Any, ...]]) -> QuarantinedFile:
    values = dict(row._mapping)  # noqa: SLF001 (SQLAlchemy's documented way to the columns' names)
    path = joined(values.pop("folder"), values.pop("filename"))
    return QuarantinedFile(**values, path=path)
