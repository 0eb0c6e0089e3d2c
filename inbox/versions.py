"""Which version of a file is meant: what a folder listing tells of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What tells one version of a file from another without reading it."""

    size: int
    mtime_ns: int
