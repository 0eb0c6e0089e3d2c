"""The version of a file, as a folder listing shows it."""

import os
from dataclasses import dataclass
from typing import Self

#: How many different times a version can keep: as many as a signed whole number of 64 bits, which is what databases store.
_TIMES = 2**64


@dataclass(frozen=True, slots=True)
class FileVersion:
    """What distinguishes one version of a file from another without reading it."""

    #: Bytes.
    size: int
    #: Time of the last modification, in nanoseconds since 1970 (UTC), within 64 bits; see `kept_time`.
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return the version of a file with this status."""
        return cls(status.st_size, kept_time(status.st_mtime_ns))


def kept_time(mtime_ns: int) -> int:
    """Return a time as versions keep it: unchanged in the years 1678 to 2261, and else shifted by multiples of 584 years.

    A file may be dated anywhere from 292 billion years before to as many after 1970, by a clock that was never set or by the
    program that wrote it. Nobody asks for that date, but two versions must stay apart, which clamping would not do.

    Args:
        mtime_ns: nanoseconds since 1970 (UTC), of any size.
    """
    return (mtime_ns + _TIMES // 2) % _TIMES - _TIMES // 2


def time_between(one_ns: int, other_ns: int) -> int:
    """Return how far apart two times are, in nanoseconds, once both are kept."""
    return abs(kept_time(one_ns - other_ns))
