"""Telling finished files from growing ones: pure bookkeeping, apart from clock and disk.

Analyzers and network copies write slowly, and 0-byte placeholders are common, so a file is read only after its size and
time have stayed the same for a while, however it was noticed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from smearcount.inbox.versions import FileVersion


@dataclass(slots=True)
class _Watched:
    version: FileVersion
    since: float
    look_at: float


class Settling:
    """Files that were noticed and have not settled yet."""

    def __init__(self, *, settle_seconds: float, empty_seconds: float) -> None:
        """Remember how long a file, and an empty file, must stay unchanged."""
        self._settle = settle_seconds
        self._empty = empty_seconds
        self._files: dict[str, _Watched] = {}

    def __len__(self) -> int:
        return len(self._files)

    @property
    def paths(self) -> Iterable[str]:
        """The files that have not settled yet."""
        return self._files.keys()

    def saw(self, path: str, version: FileVersion, now: float) -> bool:
        """Note how a file looks at `now` (seconds, any origin); return True once it has settled, which also forgets it.

        An empty file settles too, later: it stays what it is, and somebody should know.
        """
        watched = self._files.get(path)
        if watched is None or watched.version != version:
            watched = self._files[path] = _Watched(version, now, now)
        patience = self._settle if version.size > 0 else max(self._settle, self._empty)
        if now - watched.since < patience:
            watched.look_at = min(watched.since + patience, now + max(self._settle, 0.1))
            return False
        del self._files[path]
        return True

    def forget(self, path: str) -> None:
        """Drop a file that is gone or not to be counted."""
        self._files.pop(path, None)

    def due(self, now: float) -> list[str]:
        """Return the files that should be looked at again at `now`."""
        return [path for path, watched in self._files.items() if watched.look_at <= now]

    def seconds_to_next(self, now: float) -> float | None:
        """Return how long until a file is due; None if there is none."""
        if not self._files:
            return None
        return max(0.0, min(watched.look_at for watched in self._files.values()) - now)
