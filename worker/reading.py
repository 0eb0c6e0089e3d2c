"""Reading an image from the inbox: the right file, whole, and from nowhere else."""

import errno
import os
import stat
from pathlib import Path

from db.names import from_text
from db.records import FileVersion, Postponed, Refusal, Refused, WorkItem
from models.preprocessing import LARGEST_FILE

#: File systems keep times to a nanosecond or to two seconds, and one share may show another precision per machine.
_TIME_PRECISION_NS = 2_000_000_000

#: After so many attempts a read error is taken to be the file's own.
READ_ATTEMPTS = 3


#: Where the folders of a batch really lie, and whether that is inside the inbox: by the path that they are known under.
RealFolders = dict[str, tuple[str, bool]]


def read_image(item: WorkItem, folders: RealFolders) -> bytes | Refused | Postponed:  # noqa: PLR0911 (one per outcome)
    """Return the bytes of the image as it was journalled, or why there are none.

    `folders` is filled, and serves the images of the same batch: resolving a path takes as long as reading a file.
    """
    root = from_text(item.root)
    try:
        path, is_inside = _real_path(root, from_text(item.path), folders)
        if not is_inside:
            return _refused(item, "leaves-inbox", "a symbolic link leads out of the inbox; put the file itself there")
        return _read_whole(item, path)
    except FileNotFoundError:
        return _missing(item, Path(root))
    except PermissionError:
        return _refused(item, "unreadable", "the file may not be read (permission denied); allow it, then: retry")
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            return _refused(item, "not-a-file", "not an ordinary file")
        if not _is_reachable(Path(root)):
            return _out_of_reach(item)
        reason = f"the file cannot be read: {error.strerror}"
        if item.attempts < READ_ATTEMPTS:
            return Postponed(item.image_id, reason, is_attempt=True)
        return _refused(item, "unreadable", f"{reason}; mend that, then: retry")


def _real_path(root: str, path: str, folders: RealFolders) -> tuple[str, bool]:
    """Return where a file really lies, and whether that is inside the inbox."""
    folder, name = os.path.split(os.path.join(root, path))  # noqa: PTH118 (once per image)
    if folder not in folders:
        folders[folder] = _resolved(root, folder)
    real_folder, is_inside = folders[folder]
    real = os.path.join(real_folder, name)  # noqa: PTH118
    return _resolved(root, real) if os.path.islink(real) else (real, is_inside)  # noqa: PTH114


def _resolved(root: str, path: str) -> tuple[str, bool]:
    real = os.path.realpath(path)
    return real, Path(real).is_relative_to(os.path.realpath(root))


def _read_whole(item: WorkItem, path: str) -> bytes | Refused | Postponed:
    # Non-blocking, so that a pipe put in the file's place cannot hold the worker up; and `path` has been resolved, so
    # that a link there now was put there just now.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return _refused(item, "not-a-file", "not an ordinary file")
        if before.st_size > LARGEST_FILE:
            return _refused(
                item, "too-large", f"the file has {before.st_size:,} bytes; a cell image has at most {LARGEST_FILE:,}"
            )
        data = _read_up_to(descriptor, item.version.size + 1)  # one more, to see a file that has grown
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    unchanged = _same(item.version, before) and _same(item.version, after) and len(data) == item.version.size
    return data if unchanged else Postponed(item.image_id, "the file changed after it was seen")


def _read_up_to(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    # A share may hand a file over in parts.
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data


def _same(version: FileVersion, status: os.stat_result) -> bool:
    return status.st_size == version.size and abs(status.st_mtime_ns - version.mtime_ns) <= _TIME_PRECISION_NS


def _missing(item: WorkItem, root: Path) -> Refused | Postponed:
    """Tell a file that is gone from one that is out of reach: a share that is not mounted leaves an empty folder.

    One that stays empty has been emptied. Should it have been out of reach after all, the watcher finds its files again
    when they are back, and they count.
    """
    if not _is_reachable(root):
        return _out_of_reach(item)
    if not any(root.iterdir()) and item.attempts < READ_ATTEMPTS:
        return Postponed(item.image_id, "the inbox is empty; is it mounted?", is_attempt=True)
    return _refused(item, "gone", "the file was gone before it could be read; it counts again when it comes back")


def _is_reachable(root: Path) -> bool:
    """Say whether the inbox can be listed."""
    try:
        with os.scandir(root):
            return True
    except OSError:
        return False


def _out_of_reach(item: WorkItem) -> Postponed:
    return Postponed(item.image_id, "the inbox cannot be reached from the worker's machine")


def _refused(item: WorkItem, code: str, reason: str) -> Refused:
    return Refused(item.image_id, Refusal(code, reason))
