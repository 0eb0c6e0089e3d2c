"""The JSON of one slide's counts, as types: what is written and the schema that describes it both come from here.

The API's differentials and the exported examinations hold a `CountsDocument`; `smearcount counts --format json` prints a
`SlideCountsDocument`, which holds both counts and what people said. Numbers of cells and files are whole, percentages are of the
WBC counted and not rounded, moments are ISO 8601 in UTC.
"""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, PlainSerializer, TypeAdapter, WithJsonSchema

from smearcount.differential.classes import WBC_CLASSES, CellClass, ReviewClass
from smearcount.differential.ratios import RangeFlag
from smearcount.differential.review_rules import REVIEW_RULES
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls
from smearcount.differential.times import utc_text

#: Version of the document, and with it of what the codes of its flags and review reasons mean. It is raised when something is
#: left out or comes to mean something else; what is added alone keeps it. Version 1 (up to release 0.9) did not name itself.
SCHEMA_VERSION = 2

_WBC_NAMES = [cell_class.value for cell_class in WBC_CLASSES]
_FLAG_CODES = (
    "^(incomplete|no-wbc|few-wbc|quarantined|unidentified|mixed-models|mixed-exports|same-cells-elsewhere|unlike-images"
    f"|nrbc-correction|(low|high|borderline):({'|'.join(_WBC_NAMES)}))$"
)

#: A number of cells, images or files.
Number = Annotated[int, Field(ge=0)]
#: A share of the WBC counted, in percent.
Percent = Annotated[float, Field(ge=0, le=100)]
#: A moment, written by `utc_text`.
Moment = Annotated[
    datetime,
    PlainSerializer(utc_text, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{6})?Z$",
        }
    ),
]

_CLOSED = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDocument:
    """The model that made the calls."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    name: Annotated[str, Field(description="Name of the model, as on its model card.")]
    version: Annotated[str, Field(description="Version of the model, as on its model card.")]
    sha256: Annotated[
        str,
        Field(
            pattern="^[0-9a-f]{64}$",
            description="SHA-256 of the model in hexadecimal, over its card, its weights and its likeness file: "
            "what identifies it for certain.",
        ),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class CellsDocument:
    """Identified cells of each of the eight classes."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    basophil: Annotated[Number, Field(description="Basophils.")]
    eosinophil: Annotated[Number, Field(description="Eosinophils.")]
    erythroblast: Annotated[Number, Field(description="Nucleated red cells (nRBC); not WBC.")]
    ig: Annotated[Number, Field(description="Immature granulocytes: promyelocytes, myelocytes and metamyelocytes.")]
    lymphocyte: Annotated[Number, Field(description="Lymphocytes.")]
    monocyte: Annotated[Number, Field(description="Monocytes.")]
    neutrophil: Annotated[Number, Field(description="Neutrophils, band and segmented together.")]
    platelet: Annotated[Number, Field(description="Platelets; not WBC.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalDocument:
    """A confidence interval of a percentage."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    low: Annotated[Percent | None, Field(description="Lower bound in percent; null if no WBC was counted.")]
    high: Annotated[Percent | None, Field(description="Upper bound in percent; null if no WBC was counted.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceDocument:
    """A reference range."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    low: Annotated[Percent, Field(description="Lowest percent still within the range.")]
    high: Annotated[Percent, Field(description="Highest percent still within the range.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDocument:
    """One WBC class of the differential."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    cell_class: Annotated[
        CellClass,
        WithJsonSchema({"type": "string", "enum": _WBC_NAMES}),
        Field(serialization_alias="class", description="The WBC class; ig are immature granulocytes."),
    ]
    count: Annotated[Number, Field(description="Cells of this class, the same number as in cells.")]
    percent: Annotated[
        Percent | None,
        Field(description="100 × count / wbc_counted, not rounded; null if no WBC was counted."),
    ]
    ci95: Annotated[
        IntervalDocument,
        Field(
            description="95 % confidence interval of the percent, exact binomial (Clopper-Pearson, 1934). "
            "It covers the chance of drawing the cells, not wrong calls."
        ),
    ]
    reference: Annotated[
        ReferenceDocument | None,
        Field(
            description="The site's reference range in percent of the WBC; null if the site has set none for this class."
        ),
    ]
    flag: Annotated[
        RangeFlag | None,
        WithJsonSchema({"enum": [*(side.value for side in RangeFlag), None]}),
        Field(
            description="low or high: at least the minimum number of WBC was counted, and the whole 95 % interval lies below "
            "or above the reference range. borderline: the percent lies outside the range, but cannot be told from normal. "
            "Null within the range, without one, or without any WBC."
        ),
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagDocument:
    """One thing to know before relying on the result."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    code: Annotated[str, Field(pattern=_FLAG_CODES, description="Stable code, for programs.")]
    message: Annotated[str, Field(min_length=1, description="The same in words, for people; the wording may change.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewReasonDocument:
    """One rule of the site by which the slide asks for a person."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    code: Annotated[
        str,
        WithJsonSchema({"type": "string", "enum": list(REVIEW_RULES)}),
        Field(description="Stable code of the rule, for programs."),
    ]
    message: Annotated[str, Field(min_length=1, description="The same in words, for people; the wording may change.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class CountsDocument:
    """The counts of one slide; the fields stand in the order in which the JSON has them."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    schema_version: Annotated[
        int,
        WithJsonSchema({"type": "integer", "const": SCHEMA_VERSION}),
        Field(description="Version of this document and of what its codes mean; another number means another schema."),
    ]
    slide: Annotated[
        str, Field(description="Name of the slide, as its folder in the inbox spells it. It may identify a patient.")
    ]
    status: Annotated[
        SlideStatus,
        WithJsonSchema({"type": "string", "enum": [status.value for status in SlideStatus]}),
        Field(
            description="counting: images are pending or may still arrive, every number may change. "
            "complete: all images known are dealt with."
        ),
    ]
    model: Annotated[
        ModelDocument | None,
        Field(
            description="The newest model whose calls are counted here; null before the first call. "
            "If there was another one, the flags say mixed-models."
        ),
    ]
    cells: Annotated[CellsDocument, Field(description="Identified cells per class, all eight classes.")]
    wbc_counted: Annotated[
        Number,
        Field(
            description="Leukocytes identified, the denominator of every percentage: "
            "the counts in differential add up to it."
        ),
    ]
    differential: Annotated[
        tuple[RowDocument, ...],
        Field(
            min_length=len(WBC_CLASSES),
            max_length=len(WBC_CLASSES),
            description=f"One row per WBC class, always in this order: {', '.join(_WBC_NAMES)}.",
        ),
    ]
    nrbc_per_100_wbc: Annotated[
        Annotated[float, Field(ge=0)] | None,
        Field(description="Nucleated red cells per 100 WBC, not rounded, may exceed 100; null if no WBC was counted."),
    ]
    wbc_correction_factor: Annotated[
        Annotated[float, Field(gt=0, lt=1)] | None,
        Field(
            description="100 / (100 + nRBC per 100 WBC): what to multiply a WBC count with that took nRBC for WBC. "
            "Null below the threshold set (5 nRBC per 100 WBC unless configured)."
        ),
    ]
    platelets: Annotated[
        Number,
        Field(description="Platelet images seen. It is no platelet count of the blood and never in the differential."),
    ]
    unidentified: Annotated[
        Number,
        Field(description="Cells whose class the model was not sure of; in no class above, listed for review."),
    ]
    pending: Annotated[Number, Field(description="Images seen and not classified yet.")]
    quarantined: Annotated[
        Number, Field(description="Files that could not be used, such as damaged images; in no class above.")
    ]
    duplicates: Annotated[
        Number,
        Field(description="Files with the very content of another one of this slide; the cell is counted once."),
    ]
    flags: Annotated[
        tuple[FlagDocument, ...],
        Field(
            description="What to know before relying on the result. Empty means nothing to report, "
            "not that the result is valid.",
            json_schema_extra={"uniqueItems": True},
        ),
    ]
    review_reasons: Annotated[
        tuple[ReviewReasonDocument, ...],
        Field(
            description="Why the slide asks for a person, by the rules that the site has set. Empty if no rule applies, "
            "while the slide is still being counted, and once it is signed.",
            json_schema_extra={"uniqueItems": True},
        ),
    ]
    first_image_at: Annotated[
        Moment | None,
        Field(description="When the first image of the slide was seen, ISO 8601 in UTC; null before."),
    ]
    completed_at: Annotated[
        Moment | None,
        Field(description="When the slide was complete, ISO 8601 in UTC; null if it is not."),
    ]
    calls: Annotated[
        Calls,
        WithJsonSchema({"type": "string", "enum": [calls.value for calls in Calls]}),
        Field(
            description="Whose calls are counted here. automatic: those of the model alone. reviewed: people called some of "
            "the cells; their calls count, and those of the model for all other cells."
        ),
    ]

    def as_json(self) -> dict[str, Any]:
        """Return the document as JSON-ready values: dictionaries, lists, text, numbers and None.

        Raises:
            ValueError: A moment has no time zone.
        """
        document: dict[str, Any] = _adapters()[type(self)].dump_python(self, mode="json", by_alias=True)
        return document


#: Kind of a remark that gives the reason of a review; all other kinds are those of a slide's events.
REVIEW_REMARK = "review"

_REVIEW_NAMES = [review_class.value for review_class in ReviewClass]

#: The id of an image.
_CellId = Annotated[
    int, Field(ge=0, description="Id of the image, as the API, the pages and the command `images` have it.")
]
_Reviewer = Annotated[str, Field(description="Name of the person.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class RemarkedCell:
    """A cell that a person called, and gave a reason for it."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    cell: _CellId
    reviewed: Annotated[
        ReviewClass | None,
        WithJsonSchema({"enum": [*_REVIEW_NAMES, None]}),
        Field(description="What the person called it, unidentified for no class; null: back to the model's call."),
    ]
    holds: Annotated[
        bool, Field(description="Whether this call counts: nobody called the cell since, and the image is counted.")
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What a person wrote about a slide or about some of its cells."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    kind: Annotated[
        str,
        Field(
            pattern="^[a-z-]+$",
            description="comment: on the slide. sign-off: with a signature, in force or not. reopen: why a signature was "
            "taken back. review: why cells were called as they were. Later versions may have other kinds.",
        ),
    ]
    reviewer: _Reviewer
    at: Annotated[Moment, Field(description="When, ISO 8601 in UTC.")]
    text: Annotated[str, Field(description="What the person wrote, as it was written; it may have several lines.")]
    cells: Annotated[
        tuple[RemarkedCell, ...], Field(description="The cells that a review called; empty for all other kinds.")
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExcludedCell:
    """A cell that counts in no class because a person said so."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    cell: _CellId
    automatic: Annotated[
        ReviewClass,
        WithJsonSchema({"type": "string", "enum": _REVIEW_NAMES}),
        Field(description="As what the model counts it; unidentified: the model was not sure either."),
    ]
    reviewed: Annotated[
        ReviewClass,
        WithJsonSchema({"type": "string", "enum": _REVIEW_NAMES}),
        Field(description="What the person called it; a class that is in no count."),
    ]
    reviewer: _Reviewer
    at: Annotated[Moment, Field(description="When, ISO 8601 in UTC.")]
    reason: Annotated[str | None, Field(description="Why, as the person wrote it; null if nothing was written.")]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideCountsDocument(CountsDocument):
    """The counts of one slide by the calls asked for, both counts by name, and what people did with the slide."""

    reviewed_cells: Annotated[
        Number, Field(description="Counted cells that a person called, as the model had or otherwise.")
    ]
    automatic: Annotated[
        CountsDocument, Field(description="The count by the model's calls alone; it never changes by a review.")
    ]
    reviewed: Annotated[
        CountsDocument | None,
        Field(description="The count with people's calls before the model's; null if no person called a cell."),
    ]
    signed_by: Annotated[str | None, Field(description="Who signed the slide; null if it is not signed.")]
    signed_at: Annotated[Moment | None, Field(description="When, ISO 8601 in UTC; null if it is not signed.")]
    excluded: Annotated[
        tuple[ExcludedCell, ...],
        Field(
            description="Cells that a person took out of the count or left in no class; they are among unidentified."
        ),
    ]
    remarks: Annotated[
        tuple[Remark, ...],
        Field(description="All that people wrote about the slide and its cells, oldest first; nothing is left out."),
    ]

    @classmethod
    def of(cls, shown: CountsDocument, **others: Any) -> "SlideCountsDocument":
        """Return the document whose own numbers are those of `shown`, with the other members given by name."""
        return cls(**{field.name: getattr(shown, field.name) for field in fields(CountsDocument)}, **others)


@cache
def _adapters() -> dict[type, TypeAdapter[Any]]:
    # Made at the first use: it takes longer than importing this module.
    return {kind: TypeAdapter(kind) for kind in (CountsDocument, SlideCountsDocument)}
