"""The laboratory's settings for counting."""

from collections.abc import Mapping

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from smearcount.differential.classes import WBC_CLASSES, CellClass

#: Reference ranges of adults in percent of the WBC counted: lowest and highest value within the range. Sites differ.
ADULT_REFERENCE_RANGES: dict[CellClass, tuple[float, float]] = {
    CellClass.NEUTROPHIL: (39.0, 75.0),
    CellClass.LYMPHOCYTE: (16.0, 47.0),
    CellClass.MONOCYTE: (4.0, 12.0),
    CellClass.EOSINOPHIL: (0.0, 7.0),
    CellClass.BASOPHIL: (0.0, 2.0),
    CellClass.IG: (0.0, 0.5),
}


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
