"""What lies at a path: an image file in one of its versions, something to refuse, or nothing of ours."""

import os
import stat
from dataclasses import dataclass

from smearcount.db.records import Refusal
from smearcount.inbox.versions import FileVersion
from smearcount.watcher.layout import is_image_name, is_within_ignored


@dataclass(frozen=True, slots=True)
class Sighting:
    """A file that is to be journalled, with the reason if it must not be counted."""

    #: Path within the inbox, as the file system has it.
    path: str
    version: FileVersion
    refusal: Refusal | None = None


#: Of folders within the inbox, whether they are, or lie behind, a folder link.
BehindLink = dict[str, bool]


def look_at(root: str, path: str, behind_link: BehindLink) -> Sighting | None:
    """Return what lies at `path` within the inbox `root`, a real path; None for folders and whatever is none of ours.

    `behind_link` is filled, and serves the paths looked at in the same moment: asking takes longer than the look itself.

    Raises:
        OSError: the file system does not say.
    """
    if is_within_ignored(path):
        return None
    folder = os.path.dirname(path)  # noqa: PTH120
    if folder not in behind_link:
        behind_link[folder] = is_behind_link(root, folder)
    return None if behind_link[folder] else look_at_entry(root, path)


def is_behind_link(root: str, folder: str) -> bool:
    """Say whether `folder` within the inbox is, or lies behind, a folder link; those are not followed."""
    full = os.path.join(root, folder) if folder else root  # noqa: PTH118
    return os.path.realpath(full) != full


def look_at_entry(root: str, path: str) -> Sighting | None:
    """Do as `look_at` for an entry of a folder that a scan has come to: nothing above it is ignored or a link.

    Raises:
        OSError: the file system does not say.
    """
    full = os.path.join(root, path)  # noqa: PTH118 (a million times a scan)
    try:
        status = os.lstat(full)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(status.st_mode):
        return _look_through_link(root, path, full, status)
    if stat.S_ISREG(status.st_mode) and is_image_name(path):
        return Sighting(path, _version(status))
    return None


def _look_through_link(root: str, path: str, full: str, link: os.stat_result) -> Sighting | None:
    real = os.path.realpath(full)
    if os.path.commonpath([root, real]) != root:
        if not is_image_name(path) and not os.path.isdir(full):  # noqa: PTH112
            return None
        reason = "a symbolic link leads out of the inbox; put the file itself there"
        return Sighting(path, _version(link), Refusal("leaves-inbox", reason))
    try:
        status = os.stat(full)  # noqa: PTH116
    except OSError:
        return (
            Sighting(path, _version(link), Refusal("gone", "a symbolic link leads nowhere"))
            if is_image_name(path)
            else None
        )
    if stat.S_ISREG(status.st_mode) and is_image_name(path):
        return Sighting(path, _version(status))
    return None


def _version(status: os.stat_result) -> FileVersion:
    return FileVersion(status.st_size, status.st_mtime_ns)
