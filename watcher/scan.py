"""Looking through the inbox: the truth that file events only hint at."""

import os
from collections.abc import Callable, Iterator, Mapping

from smearcount.db.records import KnownFile
from smearcount.inbox.paths import to_text
from smearcount.watcher.layout import is_ignored, is_within_ignored
from smearcount.watcher.probe import Sighting, is_behind_link, look_at_entry


def unknown_files(
    root: str,
    folder: str,
    known_in_folder: Callable[[str], Mapping[str, KnownFile]],
    held_against: Callable[[Sighting], str | None],
    unreadable: set[str],
) -> Iterator[Sighting | None]:
    """Go through `folder` (within the inbox `root`; "" is all of it) and yield the files the journal does not know.

    A file is known when its version is, and when what the journal holds against it is still held against it. Yields
    None for every other entry, so that a caller can stop for a while within a folder of any size. One folder is held in
    memory at a time. Folder links are not followed: they could lead round in a circle.

    Raises:
        OSError: the inbox itself cannot be read. Folders within it that cannot be read are passed over, and added to
            `unreadable`: another scan comes.
    """
    is_ours = not folder or not (is_within_ignored(folder) or is_behind_link(root, folder))
    waiting = [folder] if is_ours else []
    while waiting:
        current = waiting.pop()
        full = os.path.join(root, current) if current else root  # noqa: PTH118
        try:
            with os.scandir(full) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if current == folder:
                raise
            if os.path.isdir(full):  # noqa: PTH112 (and not gone meanwhile)
                unreadable.add(current)
            continue
        holds_files = any(not entry.is_dir(follow_symlinks=False) for entry in found)
        known = known_in_folder(to_text(current)) if holds_files else {}
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
                if sighting is not None and _is_known(known.get(to_text(entry.name)), sighting, held_against):
                    sighting = None
                yield sighting
        waiting.extend(reversed(folders))


def _is_known(row: KnownFile | None, sighting: Sighting, held_against: Callable[[Sighting], str | None]) -> bool:
    if row is None or row.version != sighting.version:
        return False
    return row.held_against is None or row.held_against == held_against(sighting)


def _look(root: str, path: str) -> Sighting | None:
    try:
        return look_at_entry(root, path)
    except OSError:
        return None
