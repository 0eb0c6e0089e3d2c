"""Telling finished files from growing ones: pure bookkeeping, apart from clock and disk.

Analyzers and network copies write slowly, and 0-byte placeholders are common. So a file counts as finished, and is read, only
after its size and time have stayed the same for a while, however it was noticed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from smearcount.inbox.versions import FileVersion

#: Shortest time between two probes of a file that is waiting, in seconds.
_SHORTEST_WAIT = 0.1


@dataclass(slots=True)
class _Observed:
    version: FileVersion
    #: Since when the file has been in this version.
    since: float
    probe_at: float


class StabilityTracker:
    """Keeps the files that were noticed and are not stable yet. Times are seconds of any monotonic clock."""

    def __init__(self, *, settle_seconds: float, empty_seconds: float) -> None:
        """Set for how long a file, and an empty file, must stay unchanged."""
        self._settle_seconds = settle_seconds
        self._empty_seconds = empty_seconds
        self._files: dict[str, _Observed] = {}

    def __len__(self) -> int:
        return len(self._files)

    @property
    def paths(self) -> Iterable[str]:
        """The files that are waiting for stability."""
        return self._files.keys()

    def observe(self, path: str, version: FileVersion, now: float) -> bool:
        """Note the version of a file at `now`; return True once it is stable, and stop tracking it.

        An empty file becomes stable too, but later: if it stays empty, somebody should know.
        """
        observed = self._files.get(path)
        if observed is None or observed.version != version:
            observed = self._files[path] = _Observed(version, now, now)
        required = self._settle_seconds if version.size > 0 else max(self._settle_seconds, self._empty_seconds)
        if now - observed.since < required:
            observed.probe_at = min(observed.since + required, now + max(self._settle_seconds, _SHORTEST_WAIT))
            return False
        del self._files[path]
        return True

    def forget(self, path: str) -> None:
        """Stop tracking a file that is gone or not to be counted."""
        self._files.pop(path, None)

    def due(self, now: float) -> list[str]:
        """Return the files to probe at `now`."""
        return [path for path, observed in self._files.items() if observed.probe_at <= now]

    def seconds_to_next(self, now: float) -> float | None:
        """Return in how many seconds the next file is due; None if no file is waiting."""
        if not self._files:
            return None
        return max(0.0, min(observed.probe_at for observed in self._files.values()) - now)
