"""What the command line itself can be told."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class CliSettings(BaseSettings):
    """Settings of the command line, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    data: Path = Field(
        default=Path("~/.local/share/smearcount"),
        description="Folder for what smearcount keeps on this machine: the SQLite database, the embedded broker's file "
        "and the logs.",
    )
