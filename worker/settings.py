"""How images are queued and worked on."""

import os
from typing import Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

#: In seconds: a machine that sees none of its images takes one batch per such pause and process.
_LONGEST_PAUSE = 5.0


class WorkerSettings(BaseSettings):
    """Settings of the queue and the workers, from the environment."""

    model_config = SettingsConfigDict(env_prefix="SMEARCOUNT_", frozen=True, extra="ignore")

    broker_url: str = Field(
        default="",
        description="URL of the Valkey or Redis broker, such as redis://host:6379/0, or rediss:// with TLS, where "
        "?ssl_ca_certs=FILE names the authorities if the system's do not do. "
        "Empty: `up` starts its own, reachable from this machine alone.",
    )
    workers: int = Field(default=0, ge=0, description="Processes that classify, each on one core. 0: one per core.")
    batch_seconds: float = Field(
        default=60, gt=0, description="Seconds after which a batch counts as hung and its process is ended."
    )
    redelivery_seconds: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which a message taken by a worker that never answered goes to another one; "
        "longer than batch_seconds. Without it, half as long again as that, and at least 90.",
        json_schema_extra={"deprecated": True},
    )

    @field_validator("broker_url")
    @classmethod
    def _can_be_read(cls, url: str) -> str:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (a port that is no number raises a ValueError)
        if "password" in {name.lower() for name in parse_qs(parts.query)}:
            raise ValueError("the password stands before the host: redis://:password@host:6379/0")
        return url

    @model_validator(mode="after")
    def _redelivers_later_than_a_batch_takes(self) -> Self:
        if self.visibility_seconds <= self.batch_seconds:
            raise ValueError("SMEARCOUNT_REDELIVERY_SECONDS must be longer than SMEARCOUNT_BATCH_SECONDS")
        return self

    @property
    def visibility_seconds(self) -> float:
        """How long the broker keeps a message from other workers, in seconds; longer than a batch may take."""
        return self.redelivery_seconds or max(90.0, 1.5 * self.batch_seconds)

    @property
    def pause_seconds(self) -> float:
        """How long a process idles when its machine shows none of a batch's images, in seconds; well within `batch_seconds`."""
        return min(_LONGEST_PAUSE, self.batch_seconds / 4)

    @property
    def processes(self) -> int:
        """Number of processes that classify images."""
        return self.workers or usable_cores()


def usable_cores() -> int:
    """Return the number of cores that this process may use; in a container they can be fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
