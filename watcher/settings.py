"""How an inbox is watched."""

import os
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from smearcount.inbox.ignoring import Ignoring
from smearcount.inbox.paths import to_text

#: The first folder under the inbox is the slide.
DEFAULT_PATTERN = r"(?P<slide>[^/]+)/.+"


class WatcherSettings(BaseSettings):
    """Settings of the watcher, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    pattern: str = Field(
        default=DEFAULT_PATTERN,
        description="Regular expression for a whole path within the inbox ('/' between folders): the group `slide` "
        "names the slide, the optional group `label` is the analyzer's own call. "
        "Default: the first folder is the slide.",
    )
    ignore: tuple[str, ...] = Field(
        default=(),
        description="Patterns for the names of files and folders to ignore as well, as JSON: "
        '["*_thumb.jpg", "archive"]; `*` is any text, `?` any character, and case does not matter.',
    )
    inbox_name: str = Field(
        default="", description="Name under which the database knows the inbox. Empty: its absolute path."
    )
    poll: bool = Field(
        default=False,
        description="Look through the inbox every poll_seconds instead of waiting for file events, which network "
        "shares do not send.",
    )
    poll_seconds: float = Field(default=3, gt=0, description="Seconds between two looks when polling.")
    rescan_seconds: float = Field(
        default=60,
        gt=0,
        description="Seconds between two full scans, which find what file events have missed.",
        json_schema_extra={"deprecated": True},
    )
    settle_seconds: float = Field(
        default=2, ge=0, description="Seconds for which size and time of a file must stay unchanged before it is read."
    )
    empty_seconds: float = Field(
        default=10,
        ge=0,
        description="Seconds after which a file that stays empty (0 bytes) is quarantined.",
        json_schema_extra={"deprecated": True},
    )
    hash_files: bool = Field(
        default=False,
        description="Read every new file once and keep its SHA-256, so that a worker on another machine that shows an "
        "older copy of it is found out. For workers on other machines.",
    )
    quiet_seconds: float = Field(
        default=5, ge=0, description="Seconds without a new image after which a slide with nothing pending is complete."
    )
    queue_images: int = Field(
        default=8192, ge=1, description="Most images that are in the queue or with workers at a time."
    )
    batch_images: int = Field(
        default=64,
        ge=1,
        le=64,
        description="Most images of one slide in one message.",
        json_schema_extra={"deprecated": True},
    )

    @field_validator("ignore")
    @classmethod
    def _can_be_matched(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        Ignoring(patterns)
        return patterns

    def name_of(self, inbox: Path) -> str:
        """Return the name under which the database knows the inbox in the folder `inbox`."""
        return to_text(self.inbox_name or os.path.realpath(inbox))
