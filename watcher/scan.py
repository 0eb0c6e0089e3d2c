"""Going through the folders of the inbox: file events are only hints, a scan finds everything."""

import os
from collections.abc import Callable, Iterator, Mapping, Set

from smearcount.db.records import KnownFile
from smearcount.inbox.ignoring import IgnoredFiles, is_image_name
from smearcount.inbox.paths import to_text
from smearcount.watcher.probe import ProbedFile, is_behind_link, probe_entry


def unknown_files(
    root: str,
    folder: str,
    known_in_folder: Callable[[str], Mapping[str, KnownFile]],
    refusal_code: Callable[[ProbedFile], str | None],
    unreadable: set[str],
    ignored: IgnoredFiles,
    look: Callable[[str, Mapping[str, KnownFile], Set[str]], None] | None = None,
) -> Iterator[ProbedFile | None]:
    """Go through a folder and those within it, and yield the files that the journal does not know.

    The journal knows a file if it has its version, does not have it as missing, and if a reason to refuse it, where it has
    one, still applies. The function yields None for every other entry, so that a caller can pause within a folder of any
    size. It holds one folder in memory at a time. It does not follow links to folders, which could lead round in a circle.

    Args:
        root: the inbox, a real path.
        folder: path within the inbox; "" is all of it.
        known_in_folder: returns what the journal has of a folder.
        refusal_code: returns why a file would be refused now.
        unreadable: receives the folders that cannot be read; a later scan tries them again.
        ignored: says which names are ignored, and counts such files; folders that are ignored are not looked into.
        look: receives each folder that was read, in its text form, with what the journal has of it and all names in it.

    Raises:
        OSError: `folder` itself cannot be read.
    """
    ignoring = ignored.ignoring
    is_scanned = not folder or not (ignoring.ignores_within(folder) or is_behind_link(root, folder))
    waiting = [folder] if is_scanned else []
    while waiting:
        current = waiting.pop()
        full = os.path.join(root, current) if current else root  # noqa: PTH118
        try:
            with os.scandir(full) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            if current == folder:
                raise
            if os.path.isdir(full):  # noqa: PTH112 (it is not merely gone by now)
                unreadable.add(current)
            continue
        holds_files = any(not entry.is_dir(follow_symlinks=False) for entry in found)
        known = known_in_folder(to_text(current)) if holds_files else {}
        names = [to_text(entry.name) for entry in found]
        if look is not None and known:
            look(to_text(current), known, set(names))
        folders = []
        for entry, name in zip(found, names, strict=True):
            path = f"{current}/{entry.name}" if current else entry.name
            if ignoring.ignores(entry.name):
                _count(entry, ignored)
                yield None
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)
                yield None
            else:
                yield _unknown(_probe(root, path), entry, known.get(name), refusal_code, ignored)
        waiting.extend(reversed(folders))


def _unknown(
    probed: ProbedFile | None,
    entry: os.DirEntry[str],
    row: KnownFile | None,
    refusal_code: Callable[[ProbedFile], str | None],
    ignored: IgnoredFiles,
) -> ProbedFile | None:
    """Return a file if the journal does not know it; count it if it is none of ours."""
    if probed is None:
        if not is_image_name(entry.name):
            _count(entry, ignored)
        return None
    return None if _is_known(row, probed, refusal_code) else probed


def _is_known(row: KnownFile | None, probed: ProbedFile, refusal_code: Callable[[ProbedFile], str | None]) -> bool:
    if row is None or row.is_missing or row.version != probed.version:
        return False
    return row.held_against is None or row.held_against == refusal_code(probed)


def _probe(root: str, path: str) -> ProbedFile | None:
    try:
        return probe_entry(root, path)
    except OSError:
        return None


def _count(entry: os.DirEntry[str], ignored: IgnoredFiles) -> None:
    try:
        is_file = entry.is_file()
    except OSError:
        return  # a link that leads in a circle
    if is_file:
        ignored.add(entry.name)
