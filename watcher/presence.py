"""Which journalled files the complete scans do not find any more.

A share that is not mounted leaves an empty folder. So a scan says that files vanished only if it found a journalled file in
its place, and finds it there again at the end. Each file that was not listed is looked for once more by its path. Of files
that cannot be looked for, because of a right or an error, nothing is said.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set

from smearcount.db.records import KnownFile
from smearcount.inbox.paths import from_text, joined


class Presence:
    """Compares what the full scans of one inbox find with what is journalled; keeps the names of the folders with files."""

    def __init__(
        self,
        root: str,
        known_in_folder: Callable[[str], Mapping[str, KnownFile]],
        journalled_folders: Callable[[], Iterable[str]],
    ) -> None:
        """Prepare for the first full scan.

        Args:
            root: the inbox, a real path.
            known_in_folder: returns what the journal has of a folder.
            journalled_folders: returns all folders that the journal has files of; asked once.
        """
        self._root = root
        self._known_in_folder = known_in_folder
        self._journalled_folders = journalled_folders
        #: Folders, in their text form, in which the last full scan found journalled files; None before the first one.
        self._folders: set[str] | None = None
        #: Folders in which files were journalled since.
        self._added: set[str] = set()
        #: What the scan under way has found: folders with journalled files, and one of these files.
        self._seen: set[str] = set()
        self._witness: str | None = None
        self._gone: list[int] = []
        self._is_following = False
        self._rest: Iterator[None] | None = None
        #: Ids of images whose files vanished, until the journal has noted them.
        self.vanished: list[int] = []

    @property
    def is_looking(self) -> bool:
        """Whether there are folders left to look for after a scan."""
        return self._rest is not None

    def add(self, folders: Iterable[str]) -> None:
        """Note folders, in their text form, in which files were journalled."""
        self._added.update(folders)

    def begin(self) -> None:
        """Note that a full scan begins; while folders are still looked for after an earlier one, this one says nothing."""
        self._is_following = self._rest is None
        if self._is_following:
            self._seen, self._witness, self._gone = set(), None, []

    def abandon(self) -> None:
        """Forget what was found since the last full scan began, after trouble with the inbox or the journal."""
        self._is_following, self._rest = False, None

    def look(self, folder: str, known: Mapping[str, KnownFile], names: Set[str]) -> None:
        """Note what a full scan found in a folder.

        Args:
            folder: path within the inbox, in the form of `inbox.paths`.
            known: what the journal has of the folder.
            names: the names of everything in it, in the form of `inbox.paths`.
        """
        if not self._is_following:
            return
        absent = known.keys() - names
        if len(absent) < len(known):
            self._seen.add(folder)
            self._witness = joined(folder, next(name for name in known if name not in absent))
        self._gone += self._gone_of(folder, {name: known[name] for name in absent})

    def end(self) -> None:
        """Note that the full scan has come to its end; `advance` then looks for the folders that it found no files in."""
        if self._is_following:
            self._is_following, self._rest = False, self._look_for_folders()

    def advance(self, folders: int) -> None:
        """Look for so many more folders; after the last one, say what vanished."""
        for _ in range(folders):
            if self._rest is None:
                return
            if next(self._rest, self) is self:
                self._rest = None

    def _look_for_folders(self) -> Iterator[None]:
        yield from self._look_for(self._journalled_folders() if self._folders is None else sorted(self._folders))
        added, self._added = self._added, set()
        yield from self._look_for(sorted(added))
        if self._witness is not None and not self._is_gone(self._witness):
            self.vanished += self._gone
            self._folders = self._seen
        else:
            self._added |= added  # the next scan looks for them again
        self._seen, self._gone = set(), []

    def _look_for(self, folders: Iterable[str]) -> Iterator[None]:
        for folder in folders:
            yield None
            if folder not in self._seen:
                known = self._known_in_folder(folder)
                gone = self._gone_of(folder, known)
                self._gone += gone
                if len(gone) < sum(not file.is_missing for file in known.values()):
                    self._seen.add(folder)  # something in it cannot be looked for now

    def _gone_of(self, folder: str, files: Mapping[str, KnownFile]) -> list[int]:
        """Return the images of those of the files that are gone and are not known to be missing."""
        return [
            file.image_id for name, file in files.items() if not file.is_missing and self._is_gone(joined(folder, name))
        ]

    def _is_gone(self, path: str) -> bool:
        try:
            os.lstat(os.path.join(self._root, from_text(path)))  # noqa: PTH118 (names need not be UTF-8)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False  # nothing is known of it
        return False
