"""What a laboratory sets about counting, from the environment."""

from collections.abc import Mapping

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from smearcount.differential.classes import WBC_CLASSES, CellClass

#: Percent of the WBC counted, adults: (lowest, highest) value still within the range. Ranges differ between sites.
ADULT_REFERENCE_RANGES: dict[CellClass, tuple[float, float]] = {
    CellClass.NEUTROPHIL: (39.0, 75.0),
    CellClass.LYMPHOCYTE: (16.0, 47.0),
    CellClass.MONOCYTE: (4.0, 12.0),
    CellClass.EOSINOPHIL: (0.0, 7.0),
    CellClass.BASOPHIL: (0.0, 2.0),
    CellClass.IG: (0.0, 0.5),
}


class CountSettings(BaseSettings):
    """How counts are judged; the environment variable of each field is SMEARCOUNT_ and its name in capitals.

    Raises:
        pydantic.ValidationError: a value is impossible.
        pydantic_settings.SettingsError: the reference ranges in the environment are no JSON.
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

    @field_validator("reference_ranges", mode="before")
    @classmethod
    def _complete(cls, ranges: object) -> object:
        """Fill in the defaults of the classes not named, and drop those set to null."""
        if not isinstance(ranges, Mapping):
            return ranges  # pydantic says what is wrong with it
        return {name: bounds for name, bounds in {**ADULT_REFERENCE_RANGES, **ranges}.items() if bounds is not None}

    @field_validator("reference_ranges")
    @classmethod
    def _possible(cls, ranges: dict[CellClass, tuple[float, float]]) -> dict[CellClass, tuple[float, float]]:
        """Refuse ranges of cells outside the differential and bounds that are no percentages."""
        for cell_class, (low, high) in ranges.items():
            if cell_class not in WBC_CLASSES:
                raise ValueError(f"{cell_class} is not part of the differential and has no reference range in percent")
            if not 0 <= low <= high <= 100:
                raise ValueError(f"{cell_class}: expected 0 <= low <= high <= 100 percent, not {low:g} and {high:g}")
        return ranges
