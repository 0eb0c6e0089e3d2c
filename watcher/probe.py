"""What lies at a path: an image file in one of its versions, a file to refuse, or nothing that smearcount counts."""

import os
import stat
from dataclasses import dataclass

from smearcount.db.records import Refusal
from smearcount.inbox.ignoring import Ignoring, is_image_name
from smearcount.inbox.versions import FileVersion


@dataclass(frozen=True, slots=True)
class ProbedFile:
    """A file to journal, with the reason if it must not be counted."""

    #: Path within the inbox, as the file system has it.
    path: str
    version: FileVersion
    refusal: Refusal | None = None


#: For folders within the inbox: whether they are, or lie behind, a link to a folder.
BehindLink = dict[str, bool]


def probe(root: str, path: str, ignoring: Ignoring, behind_link: BehindLink) -> ProbedFile | None:
    """Return what lies at `path` within the inbox `root`, a real path; None for folders and files that are not counted.

    The function fills `behind_link`. Pass the same one for all paths that are probed in the same moment: to resolve a folder
    takes longer than the probe itself.

    Raises:
        OSError: the file system does not say what lies there.
    """
    if ignoring.ignores_within(path):
        return None
    folder = os.path.dirname(path)  # noqa: PTH120
    if folder not in behind_link:
        behind_link[folder] = is_behind_link(root, folder)
    return None if behind_link[folder] else probe_entry(root, path)


def is_behind_link(root: str, folder: str) -> bool:
    """Say whether `folder` within the inbox is, or lies behind, a link to a folder; the watcher does not follow those."""
    full = os.path.join(root, folder) if folder else root  # noqa: PTH118
    return os.path.realpath(full) != full


def probe_entry(root: str, path: str) -> ProbedFile | None:
    """Do the same as `probe` for an entry of a folder that a scan has reached: no folder above it is ignored or a link.

    Raises:
        OSError: the file system does not say what lies there.
    """
    full = os.path.join(root, path)  # noqa: PTH118 (a million times in a scan)
    try:
        status = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(status.st_mode):
        return _probe_link(root, path, full, status)
    if stat.S_ISREG(status.st_mode) and is_image_name(path):
        return ProbedFile(path, FileVersion.of(status))
    return None


def _probe_link(root: str, path: str, full: str, link: os.stat_result) -> ProbedFile | None:
    real = os.path.realpath(full)
    if os.path.commonpath([root, real]) != root:
        if not is_image_name(path) and not os.path.isdir(full):  # noqa: PTH112
            return None
        reason = "a symbolic link leads out of the inbox; put the file itself there"
        return ProbedFile(path, FileVersion.of(link), Refusal("leaves-inbox", reason))
    try:
        status = os.stat(full)  # noqa: PTH116
    except OSError:
        if not is_image_name(path):
            return None
        return ProbedFile(path, FileVersion.of(link), Refusal("gone", "a symbolic link leads nowhere"))
    if stat.S_ISREG(status.st_mode) and is_image_name(path):
        return ProbedFile(path, FileVersion.of(status))
    return None
