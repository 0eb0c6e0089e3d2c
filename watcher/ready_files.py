"""Files that are ready to be journalled, until the journal has recorded them."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smearcount.db.records import SeenFile


@dataclass(frozen=True)
class Taken:
    """Files that were taken and stay ready until they are committed."""

    by_path: Mapping[str, SeenFile]

    @property
    def files(self) -> list[SeenFile]:
        """The files, the one that was ready first at the head."""
        return list(self.by_path.values())


class ReadyFiles:
    """Keeps the newest version of each file that is ready, by its path within the inbox.

    `take` and `commit` are a pair: if the journal fails between them, all files stay and are taken again.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._files: dict[str, SeenFile] = {}

    def __len__(self) -> int:
        return len(self._files)

    @property
    def paths(self) -> Iterable[str]:
        """The paths of the files."""
        return self._files.keys()

    def put(self, path: str, file: SeenFile) -> None:
        """Add a file; it replaces an older version that was not committed yet."""
        self._files[path] = file

    def take(self, at_most: int | None = None) -> Taken:
        """Return the files that became ready first, `at_most` so many."""
        return Taken(dict(itertools.islice(self._files.items(), at_most)))

    def commit(self, taken: Taken) -> None:
        """Remove what was taken; a file that became ready again since then stays."""
        for path, file in taken.by_path.items():
            if self._files.get(path) is file:
                del self._files[path]
