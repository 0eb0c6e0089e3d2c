"""Settings: where results are sent by themselves, and how patiently."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DeliverySettings(BaseSettings):
    """Settings of the sender, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    #: `delivery.destinations` reads it: what that needs, only those commands load that send.
    destinations: SecretStr = Field(
        default=SecretStr(""),
        description="Where signed results are sent by themselves: a URL such as mllp://lis.example:2575, the path of a "
        "TOML file, or JSON, both with a table for each destination (docs/delivery.md). Empty: nowhere. It may hold passwords.",
    )
    deliver_look_seconds: float = Field(
        default=0.3, ge=0.05, le=60, description="Seconds between two looks for results to send."
    )
    deliver_pause_seconds: float = Field(
        default=60,
        ge=1,
        le=3600,
        description="Longest pause in seconds before a receiver that gave no answer is tried again; the first is 1 s, and "
        "each is twice as long as the one before.",
    )

    @property
    def is_sending(self) -> bool:
        """Whether any destination is named."""
        return bool(self.destinations.get_secret_value().strip())
