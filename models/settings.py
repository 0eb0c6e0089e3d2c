"""Settings of the classifier: which model, and from which confidence on a cell is counted."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

#: The card of the model that comes with smearcount.
SHIPPED_MODEL = Path(__file__).parent / "weights" / "smearcount-2.json"


class ModelSettings(BaseSettings):
    """Settings of the classifier; the environment variable of each field is SMEARCOUNT_ and its name in capitals.

    Raises:
        pydantic.ValidationError: a value is impossible.
    """

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", env_ignore_empty=True, frozen=True, extra="ignore")

    model: Path = Field(
        default=SHIPPED_MODEL,
        description="Path of the model card (JSON, beside its weights) of the model that classifies the cells.",
    )
    model_sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 that the model's weights must have, so that every worker surely runs the same; not set, "
        "the one in the model card applies alone.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="A cell called with less confidence than this (0-1) is unidentified and listed for review; "
        "not set, the model card's own threshold applies.",
    )
