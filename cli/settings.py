"""Settings of the command line itself."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogForm(StrEnum):
    """How a long-running command writes its log."""

    AUTO = "auto"  # plain on a terminal, JSON elsewhere
    PLAIN = "plain"
    JSON = "json"


class CliSettings(BaseSettings):
    """Settings of the command line, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    data: Path = Field(
        default=Path("~/.local/share/smearcount"),
        description="Folder for what smearcount keeps on this machine: the SQLite database, the embedded broker's file "
        "and the logs.",
    )
    secrets: Path | None = Field(
        default=None,
        description="Folder with a file for each setting that nobody should read in the environment, named like its "
        "variable in lower case: smearcount_database_url, smearcount_web_token. A variable that is set goes first.",
    )
    log: LogForm = Field(
        default=LogForm.AUTO,
        description="Form of the log lines of watch, worker and web: plain, json, or auto, which is plain on a "
        "terminal and json elsewhere. What up starts writes plain lines into its log files unless this is set.",
    )


class AlertSettings(BaseSettings):
    """Limits beyond which `status` raises an alert, from the environment; 0 turns an alert off."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    alert_nothing_seen_hours: float = Field(
        default=24, ge=0, description="Hours without any new image after which status says so; 0 is never."
    )
    alert_pending_minutes: float = Field(
        default=15, ge=0, description="Minutes that the oldest image may wait before status says so; 0 is never."
    )
    alert_delivery_minutes: float = Field(
        default=15, ge=0, description="Minutes that a result may wait to be sent before status says so; 0 is never."
    )
    alert_quarantined_percent: float = Field(
        default=5,
        ge=0,
        description="Percent of the newest 1000 files in quarantine above which status says so; 0 is never.",
    )
    alert_unidentified_percent: float = Field(
        default=15, ge=0, description="Percent of the newest cells unidentified above which status says so; 0 is never."
    )
