"""Reading an image from the inbox: the right file, whole, and from nowhere else.

What this machine shows may not be what the watcher saw: its mount point may be empty, another folder, or behind the share.
So whatever is missing or different here is only reported, and the watcher decides; see `db.ingest.visibility`.
"""

import errno
import hashlib
import os
import stat
from pathlib import Path

from smearcount.db.ingest.visibility import NOT_HERE, OTHER_COPY
from smearcount.db.records import Refusal, Refused, Unseen, WorkItem
from smearcount.inbox.paths import from_text
from smearcount.inbox.versions import FileVersion
from smearcount.models.preprocessing import LARGEST_FILE

#: File systems keep times to a nanosecond or to two seconds, and one share may show another precision per machine.
_TIME_PRECISION_NS = 2_000_000_000

_NO_FILE = "something else than an ordinary file is in its place on the worker's machine"

#: Where the folders of a batch really lie, and whether that is inside the inbox: by the path that they are known under.
RealFolders = dict[str, tuple[str, bool]]


def read_image(item: WorkItem, folders: RealFolders) -> bytes | Refused | Unseen:
    """Return the bytes of the image as it was journalled, or why there are none.

    `folders` is filled, and serves the images of the same batch: resolving a path takes as long as reading a file.
    """
    root = from_text(item.root)
    try:
        path, is_inside = _real_path(root, from_text(item.path), folders)
        if not is_inside:
            return _not_here(item, "a symbolic link leads out of the inbox on the worker's machine")
        return _read_whole(item, path)
    except OSError as error:
        return _not_here(item, _what_is_wrong(error, root))


def other_copy(item: WorkItem, sha256: str) -> Unseen | None:
    """Return what to report if the bytes, read here with this SHA-256, are others than those that were read first."""
    if item.sha256 is None or sha256 == item.sha256:
        return None
    reason = "the worker's machine shows another copy of the file; if it stays so, copy the file into the inbox anew"
    return Unseen(item.image_id, OTHER_COPY, reason)


def is_seen(item: WorkItem) -> bool:
    """Say whether this machine shows an image as it was journalled."""
    data = read_image(item, {})
    if isinstance(data, bytes):
        return other_copy(item, hashlib.sha256(data).hexdigest()) is None
    return isinstance(data, Refused)


def is_same_version(version: FileVersion, status: os.stat_result) -> bool:
    """Say whether a file is, as far as its size and time tell, of a version; machines may show times less precisely."""
    return status.st_size == version.size and abs(status.st_mtime_ns - version.mtime_ns) <= _TIME_PRECISION_NS


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


def _read_whole(item: WorkItem, path: str) -> bytes | Refused | Unseen:
    # Non-blocking, so that a pipe put in the file's place cannot hold the worker up; and `path` has been resolved, so
    # that a link there now was put there just now.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return _not_here(item, _NO_FILE)
        if not is_same_version(item.version, before):
            return _other_version(item)
        if before.st_size > LARGEST_FILE:
            reason = f"the file has {before.st_size:,} bytes; a cell image has at most {LARGEST_FILE:,}"
            return Refused(item.image_id, Refusal("too-large", reason))
        data = _read_up_to(descriptor, item.version.size + 1)  # one more, to see a file that has grown
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    is_unchanged = is_same_version(item.version, after) and len(data) == item.version.size
    return data if is_unchanged else _other_version(item)


def _read_up_to(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    # A share may hand a file over in parts.
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data


def _what_is_wrong(error: OSError, root: str) -> str:
    if not _is_reachable(Path(root)):
        return "the inbox cannot be reached from the worker's machine"
    if isinstance(error, PermissionError):
        return "the file may not be read on the worker's machine (permission denied)"
    if error.errno in {errno.ELOOP, errno.ENXIO}:
        return _NO_FILE
    if not isinstance(error, FileNotFoundError):
        return f"the file cannot be read on the worker's machine: {error.strerror}"
    # A share that is not mounted leaves an empty folder.
    if not any(Path(root).iterdir()):
        return "the inbox is empty on the worker's machine; is it mounted there?"
    return "the file is not there on the worker's machine"


def _is_reachable(root: Path) -> bool:
    """Say whether the inbox can be listed."""
    try:
        with os.scandir(root):
            return True
    except OSError:
        return False


def _not_here(item: WorkItem, reason: str) -> Unseen:
    return Unseen(item.image_id, NOT_HERE, reason)


def _other_version(item: WorkItem) -> Unseen:
    reason = "the file has another size or time on the worker's machine; it changed, or the machine shows an older copy"
    return Unseen(item.image_id, OTHER_COPY, reason)
