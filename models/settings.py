"""Settings of the classifier: which model, and from which confidence on a cell is counted."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

#: The card of the model that comes with smearcount.
SHIPPED_MODEL = Path(__file__).parent / "weights" / "smearcount-2.json"
#: Its SHA-256, so that a card that was edited in its place is refused as well.
SHIPPED_SHA256 = "f36bd929858cb872eb2fa64530458dfc1688d71a3a35289cc024042dcafdbc61"


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
        description="SHA-256 that the model must have, so that every worker surely runs the same: over the card, the weights and "
        "the likeness file, as `model show` prints it; not set, any undamaged model is taken.",
    )
    threshold: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="A cell called with less confidence than this (0-1) is unidentified and listed for review; "
        "not set, the model card's own threshold applies.",
    )
