"""The version of a file, as a folder listing shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What distinguishes one version of a file from another without reading it."""

    #: Bytes.
    size: int
    #: Time of the last modification, in nanoseconds since 1970 (UTC).
    mtime_ns: int
