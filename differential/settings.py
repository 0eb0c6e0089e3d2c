"""The laboratory's settings for counting."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from smearcount.differential.classes import WBC_CLASSES, CellClass

#: Reference ranges of adults in percent of the WBC counted: lowest and highest value within the range. Sites differ.
ADULT_REFERENCE_RANGES: dict[CellClass, tuple[float, float]] = {
    CellClass.NEUTROPHIL: (39.0, 75.0),
    CellClass.LYMPHOCYTE: (16.0, 47.0),
    CellClass.MONOCYTE: (4.0, 12.0),
    CellClass.EOSINOPHIL: (0.0, 7.0),
    CellClass.BASOPHIL: (0.0, 2.0),
    CellClass.IG: (0.0, 0.9),  # Arch Pathol Lab Med 135 (2011) 471
}

#: What turns a review rule off.
OFF = "off"


def _none_if_off(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() == OFF else value


def _off_if_none(value: object) -> object:
    return OFF if value is None else value


_READ = BeforeValidator(_none_if_off)
_WRITTEN = PlainSerializer(_off_if_none, when_used="json")

#: Limits of review rules, in cells, in percent, or in units of what is usual; None where the rule is off.
CellsLimit = Annotated[Annotated[int, Field(ge=1)] | None, _READ, _WRITTEN]
PercentLimit = Annotated[Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None, _READ, _WRITTEN]
RatioLimit = Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, _READ, _WRITTEN]

FactorLimit = Annotated[Annotated[float, Field(ge=1, allow_inf_nan=False)] | None, _READ, _WRITTEN]


class CountSettings(BaseSettings):
    """Settings of the differential; the environment variable of a field is SMEARCOUNT_ and its name in capitals.

    Raises:
        pydantic.ValidationError: A value is impossible.
        pydantic_settings.SettingsError: The reference ranges in the environment are not JSON.
    """

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True)

    reference_ranges: dict[CellClass, tuple[float, float]] = Field(
        default_factory=ADULT_REFERENCE_RANGES.copy,
        description=(
            "Reference range of each WBC class as JSON, low and high in percent of the WBC, such as "
            '{"neutrophil": [40, 75], "ig": null}: classes left out keep their default, null takes a range away.'
        ),
    )
    minimum_wbc: int = Field(
        default=100,
        ge=1,
        description="A slide with fewer WBC counted than this is flagged few-wbc.",
    )
    nrbc_correction_at: float = Field(
        default=5.0,
        gt=0,
        allow_inf_nan=False,
        description="From this many nRBC per 100 WBC on, the factor that corrects the analyzer's WBC count is shown.",
    )
    review_few_wbc: CellsLimit = Field(
        default_factory=lambda given: given.get("minimum_wbc"),
        description="A slide with fewer WBC counted than this asks for a person; SMEARCOUNT_MINIMUM_WBC unless set. Like the "
        "other limits of review rules, off turns the rule off.",
    )
    review_nrbc: CellsLimit = Field(
        default=1,
        description="A slide with so many nRBC seen, or more, asks for a person.",
    )
    review_ig: PercentLimit = Field(
        default=2.0,
        description="A slide asks for a person if the whole 95 % interval of its immature granulocytes lies above this, in "
        "percent of the WBC.",
    )
    review_added_class: CellsLimit = Field(
        default=1,
        description="A slide asks for another person if people found so many cells, or more, in a class in which the model had "
        "found none.",
    )
    review_unidentified: PercentLimit = Field(
        default=10.0,
        description="A slide asks for a person if more than this percentage of its cells is unidentified and nobody has looked "
        "at them.",
    )
    review_unlikeness: RatioLimit = Field(
        default=1.25,
        description="A slide asks for a person if the median unlikeness of its cells is above this; about 1 is usual.",
    )
    review_disagreement: PercentLimit = Field(
        default=25.0,
        description="A slide asks for a person if more than this percentage of its cells is in another class than the "
        "analyzer's own call in the path.",
    )

    unlike_unlikeness: RatioLimit = Field(
        default=1.25,
        description="A slide is flagged unlike-images if the median unlikeness of its cells is above this; about 1 is usual. "
        "Like the other limits of this flag, off turns the sign off.",
    )
    unlike_colour: RatioLimit = Field(
        default=3.0,
        description="A slide is flagged unlike-images if its cells' colours are on average further from those that the model "
        "knows than this; about 1 is usual.",
    )
    unlike_sharpness: FactorLimit = Field(
        default=1.3,
        description="A slide is flagged unlike-images if its images are on average sharper or less sharp by more than this "
        "factor.",
    )
    unlike_rare_classes: PercentLimit = Field(
        default=60.0,
        description="A slide is flagged unlike-images if more than this percentage of its WBC are eosinophils, basophils or "
        "immature granulocytes.",
    )

    @field_validator("reference_ranges", mode="before")
    @classmethod
    def _complete(cls, ranges: object) -> object:
        """Add the default ranges of the classes that are not named, and remove the classes set to null."""
        if not isinstance(ranges, Mapping):
            return ranges  # Pydantic's own validation refuses it.
        return {name: bounds for name, bounds in {**ADULT_REFERENCE_RANGES, **ranges}.items() if bounds is not None}

    @field_validator("reference_ranges")
    @classmethod
    def _possible(cls, ranges: dict[CellClass, tuple[float, float]]) -> dict[CellClass, tuple[float, float]]:
        """Refuse ranges of classes outside the differential, and bounds that are not percentages."""
        for cell_class, (low, high) in ranges.items():
            if cell_class not in WBC_CLASSES:
                raise ValueError(f"{cell_class} is not part of the differential and has no reference range in percent")
            if not 0 <= low <= high <= 100:
                raise ValueError(f"{cell_class}: expected 0 <= low <= high <= 100 percent, not {low:g} and {high:g}")
        return ranges
