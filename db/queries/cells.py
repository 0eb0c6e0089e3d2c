"""The cells of a slide as a person looks through them: by class, the least certain ones first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, Row, Select, case, func, literal, select, tuple_

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import cursor, is_key, values_of
from smearcount.db.errors import UnknownImage
from smearcount.db.review.checks import require_slide
from smearcount.db.review.effective_calls import CALL, EFFECTIVE_CLASS, IS_CALL, IS_REVIEW, REVIEW
from smearcount.db.schema import IS_COUNTED, Image, ImageState, Model
from smearcount.differential.classes import WBC_CLASSES, CellClass, ReviewClass
from smearcount.differential.model import ModelUsed
from smearcount.inbox.paths import joined

#: The order in which classes are shown: cells that wait for a person's call, then the order of a differential.
GALLERY_ORDER: tuple[ReviewClass, ...] = (
    ReviewClass.UNIDENTIFIED,
    *(ReviewClass(cell_class.value) for cell_class in WBC_CLASSES),
    ReviewClass.ERYTHROBLAST,
    ReviewClass.PLATELET,
)
#: Rank of images that are not counted: after all that are.
_LAST = len(GALLERY_ORDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class AutomaticCall:
    """The newest model's call of a cell."""

    #: The likeliest class, even where the cell is unidentified.
    cell_class: CellClass
    confidence: float
    #: By class.
    probabilities: dict[CellClass, float]
    identified: bool
    #: See `Classification.ood_score`.
    ood_score: float | None
    model: ModelUsed


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One image of a slide; times are in UTC."""

    id: int
    slide_id: int | None
    state: ImageState
    #: Path within the inbox; may identify a patient.
    path: str
    analyzer_label: str | None
    #: None if no model has classified it.
    automatic: AutomaticCall | None
    #: The class as which it counts; None if it is not counted.
    effective: ReviewClass | None
    #: Newest review; if there is none, this and the next four are None.
    review_id: int | None
    #: Class that the review gave to the cell; also None if the review went back to the automatic call.
    reviewed: ReviewClass | None
    reviewer: str | None
    reviewed_at: datetime | None
    review_reason: str | None
    #: Why it is quarantined; None if it is not.
    reason_code: str | None
    reason: str | None
    #: For a duplicate: the image that is counted.
    duplicate_of: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CellPage:
    """Some cells of a list."""

    cells: list[Cell]
    #: What to pass as `after` to get the next page; None at the end.
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
    """Return a page of a slide's images, ordered by class and confidence.

    Args:
        database: where images are kept.
        slide_id: the slide.
        cell_class: only cells that count as this class now; None for all images.
        states: only images in these states; empty for all but superseded ones.
        below: only images of which the model's confidence is below this, 0 to 1.
        reviewed_only: only images that a person has called.
        after: `next` of an earlier page; None for the first page.
        limit: largest number of images on the page.

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
    """Return one image, in any state.

    Raises:
        UnknownImage: there is no such image.
    """
    with database.reading() as connection:
        row = connection.execute(_cells().where(Image.id == image_id)).first() if is_key(image_id) else None
    if row is None:
        raise UnknownImage(f"there is no image {image_id}")
    return _cell(row)


def _cells() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Image.id, Image.slide_id, Image.state, Image.folder, Image.filename, Image.analyzer_label,
            Image.reason_code, Image.reason, Image.duplicate_of, Image.sha256,
            CALL.cell_class, CALL.confidence, CALL.probabilities, CALL.identified, CALL.ood_score.label("ood_score"),
            Model.name, Model.version, Model.sha256.label("model_sha256"), Model.preprocessing, Model.threshold,
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
            ood_score=row.ood_score,
            model=ModelUsed(row.name, row.version, row.model_sha256, row.preprocessing, row.threshold),
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
