"""Looking through the inbox: the truth that file events only hint at."""

import os
from collections.abc import Callable, Iterator, Mapping

from db.names import to_text
from db.records import FileVersion
from watcher.layout import is_ignored
from watcher.sighting import Sighting, look_at


def unknown_files(
    root: str, folder: str, known_in_folder: Callable[[str], Mapping[str, FileVersion]]
) -> Iterator[Sighting | None]:
    """Go through `folder` (within the inbox `root`; "" is all of it) and yield the files the journal does not know.

    Yields None for every other entry, so that a caller can stop for a while within a folder of any size. One folder is
    held in memory at a time. Folder links are not followed: they could lead round in a circle.

    Raises:
        OSError: the inbox itself cannot be read. Folders within it that cannot be read are passed over: another scan
            comes.
    """
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        full = os.path.join(root, current) if current else root  # noqa: PTH118
        try:
            with os.scandir(full) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if current == folder:
                raise
            continue
        known = (
            known_in_folder(to_text(current)) if any(not entry.is_dir(follow_symlinks=False) for entry in found) else {}
        )
        folders = []
        for entry in found:
            path = f"{current}/{entry.name}" if current else entry.name
            if is_ignored(entry.name):
                yield None
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
                yield None
            else:
                sighting = _look(root, path)
                is_known = sighting is not None and known.get(to_text(entry.name)) == sighting.version
                yield None if is_known else sighting
        waiting.extend(reversed(folders))


def _look(root: str, path: str) -> Sighting | None:
    try:
        return look_at(root, path)
    except OSError:
        return None
