"""Schemas of cell images and quarantined files, and their rows in CSV."""

from collections.abc import Iterable
from typing import Final, Self

from pydantic import Field

from smearcount.db.queries.cells import AutomaticCall, Cell
from smearcount.db.queries.quarantine import QuarantinedFile
from smearcount.db.schema import ImageState
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.web.links import prefix
from smearcount.web.schemas.base import Answer, Moment
from smearcount.web.schemas.slides import ModelAnswer

#: Columns of a list of cells as CSV.
CELL_COLUMNS: Final = (
    "id", "slide_id", "state", "class", "automatic_class", "confidence", "identified", "unlikeness",
    *(f"probability_{cell_class}" for cell_class in CellClass),
    "threshold", "model_name", "model_version", "model_sha256", "review_id", "reviewer", "reviewed_at", "review_reason",
    "reason_code", "reason", "duplicate_of", "analyzer_label", "path", "sha256",
)  # fmt: skip

#: Number of columns from automatic_class to model_sha256.
_AUTOMATIC_COLUMNS = CELL_COLUMNS.index("review_id") - CELL_COLUMNS.index("automatic_class")

#: Columns of a list of quarantined files as CSV.
QUARANTINED_COLUMNS: Final = (
    "id", "slide_id", "slide", "inbox", "path", "bytes", "reason_code", "reason", "attempts", "seen_at", "finished_at",
)  # fmt: skip


class AutomaticAnswer(Answer):
    """What the newest model said of a cell; never overwritten."""

    cell_class: CellClass = Field(
        serialization_alias="class", description="The likeliest class, even where the cell is unidentified."
    )
    confidence: float = Field(description="Calibrated probability of that class, 0 to 1.", examples=[0.987])
    probabilities: dict[CellClass, float] = Field(description="Of all eight classes; they sum up to 1.")
    identified: bool = Field(description="False where the model was not sure: the cell is in no class.")
    ood_score: float | None = Field(
        serialization_alias="unlikeness",
        description="How unlike the images that the model knows, about 1 for one of them; null where it cannot tell.",
    )
    threshold: float = Field(description="Confidence under which the model leaves a cell unidentified.")
    model: ModelAnswer

    @classmethod
    def of(cls, call: AutomaticCall) -> Self:
        """Show a model's call."""
        return cls(
            cell_class=call.cell_class,
            confidence=call.confidence,
            probabilities=call.probabilities,
            identified=call.identified,
            ood_score=call.ood_score,
            threshold=call.model.threshold,
            model=ModelAnswer.of(call.model),
        )


class CellAnswer(Answer):
    """One image of a slide."""

    id: int = Field(description="Names the image in every path.", examples=[3])
    slide_id: int | None = Field(description="Null where no slide could be told from the path.")
    state: ImageState = Field(description="What became of it; only `done` is counted.")
    cell_class: ReviewClass | None = Field(
        serialization_alias="class",
        description="What it counts as: a person's call, else the model's. Null if it is not counted.",
    )
    automatic: AutomaticAnswer | None = Field(description="Null where no model has seen it.")
    review_id: int | None = Field(
        description="The newest review; send it as `seen_review` with a change. Null if nobody has called it."
    )
    reviewed: ReviewClass | None = Field(
        description="What that review called it; null if it went back to the model's call."
    )
    reviewer: str | None
    reviewed_at: Moment | None = Field(description="In UTC.")
    review_reason: str | None
    reason_code: str | None = Field(
        description="Why it is quarantined, or not counted yet, as a stable code.", examples=["damaged"]
    )
    reason: str | None = Field(description="The same in words.")
    duplicate_of: int | None = Field(description="For a duplicate: id of the image that is counted.")
    analyzer_label: str | None = Field(description="The analyzer's own call, where the path tells it.")
    path: str = Field(description="Path within the inbox, invisible bytes as \\xNN; may identify a patient.")
    sha256: str | None = Field(description="Of the file, in hex; null before it was read.")
    image: str = Field(description="Path of the image itself.", examples=["/api/v1/cells/3/image"])
    thumbnail: str = Field(description="Path of a small picture of the cell.", examples=["/api/v1/cells/3/thumbnail"])

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Show an image."""
        return cls(
            id=cell.id,
            slide_id=cell.slide_id,
            state=cell.state,
            cell_class=cell.effective,
            automatic=AutomaticAnswer.of(cell.automatic) if cell.automatic is not None else None,
            review_id=cell.review_id,
            reviewed=cell.reviewed,
            reviewer=cell.reviewer,
            reviewed_at=cell.reviewed_at,
            review_reason=cell.review_reason,
            reason_code=cell.reason_code,
            reason=cell.reason,
            duplicate_of=cell.duplicate_of,
            analyzer_label=cell.analyzer_label,
            path=cell.path,
            sha256=cell.sha256,
            image=f"{prefix()}/api/v1/cells/{cell.id}/image",
            thumbnail=f"{prefix()}/api/v1/cells/{cell.id}/thumbnail",
        )


class CellList(Answer):
    """A page of a slide's images, by class, those that the model was least sure of first."""

    cells: list[CellAnswer]
    next: str | None = Field(description="Send it as `after` to get the next page; null at the end.")


class QuarantinedAnswer(Answer):
    """A file that could not be counted."""

    id: int
    slide_id: int | None = Field(description="Null where no slide could be told from the path.")
    slide: str | None
    inbox: str
    path: str
    bytes: int = Field(description="Size of the file in bytes.")
    reason_code: str
    reason: str
    attempts: int = Field(description="How often a worker began with it.")
    seen_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, file: QuarantinedFile) -> Self:
        """Show a file."""
        return cls(
            id=file.id,
            slide_id=file.slide_id,
            slide=file.slide,
            inbox=file.inbox,
            path=file.path,
            bytes=file.size,
            reason_code=file.reason_code,
            reason=file.reason,
            attempts=file.attempts,
            seen_at=file.seen_at,
            finished_at=file.finished_at,
        )


class QuarantinedList(Answer):
    """A page of the quarantined files of all slides, newest first."""

    files: list[QuarantinedAnswer]
    next: str | None = Field(description="Send it as `after` to get the next page; null at the end.")


def cell_rows(cells: Iterable[Cell]) -> Iterable[list[object]]:
    """Yield the values of each image in the order of CELL_COLUMNS."""
    for cell in cells:
        call = cell.automatic
        automatic = (
            [None] * _AUTOMATIC_COLUMNS
            if call is None
            else [
                call.cell_class, call.confidence, call.identified, call.ood_score,
                *(call.probabilities[cell_class] for cell_class in CellClass),
                call.model.threshold, call.model.name, call.model.version, call.model.sha256,
            ]
        )  # fmt: skip
        yield [
            cell.id, cell.slide_id, cell.state, cell.effective, *automatic, cell.review_id, cell.reviewer,
            cell.reviewed_at, cell.review_reason, cell.reason_code, cell.reason, cell.duplicate_of, cell.analyzer_label,
            cell.path, cell.sha256,
        ]  # fmt: skip


def quarantined_rows(files: Iterable[QuarantinedFile]) -> Iterable[list[object]]:
    """Yield the values of each file in the order of QUARANTINED_COLUMNS."""
    for file in files:
        yield [
            file.id, file.slide_id, file.slide, file.inbox, file.path, file.size, file.reason_code, file.reason,
            file.attempts, file.seen_at, file.finished_at,
        ]  # fmt: skip
