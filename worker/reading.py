"""Reading an image from the inbox as the watcher journalled it.

This machine may not show what the watcher saw: its mount point may be empty, hold another folder, or lag behind the share.
So a worker only reports what is missing or different here, and the watcher decides; see `db.ingest.visibility`.
"""

import errno
import hashlib
import os
from pathlib import Path

from smearcount.db.ingest.visibility import NOT_HERE, OTHER_COPY
from smearcount.db.records import NotVisible, Refusal, Refused, WorkItem
from smearcount.inbox.paths import from_text
from smearcount.inbox.reading import (
    LARGEST_FILE,
    SHARED_TIME_PRECISION_NS,
    LeavesInbox,
    NotAFile,
    OpenFolders,
    OtherVersion,
    TooLarge,
    read_version,
)

_NO_FILE = "something else than an ordinary file is in its place on the worker's machine"


def read_image(item: WorkItem, folders: OpenFolders | None = None) -> bytes | Refused | NotVisible:
    """Return the bytes of the image as it was journalled, or why there are none.

    Args:
        item: the image.
        folders: shared by the images of a batch.
    """
    root = from_text(item.root)
    try:
        return read_version(
            root,
            from_text(item.path),
            item.version,
            time_precision_ns=SHARED_TIME_PRECISION_NS,
            folders=folders,
        )
    except LeavesInbox:
        return _not_here(item, "a symbolic link leads out of the inbox on the worker's machine")
    except NotAFile:
        return _not_here(item, _NO_FILE)
    except OtherVersion:
        return _other_version(item)
    except TooLarge as error:
        reason = f"the file has {error.size:,} bytes; a cell image has at most {LARGEST_FILE:,}"
        return Refused(item.image_id, Refusal("too-large", reason))
    except OSError as error:
        return _not_here(item, _what_is_wrong(error, root))


def other_copy(item: WorkItem, sha256: str) -> NotVisible | None:
    """Return what to report if bytes of this SHA-256, read here, differ from those that were read first; None if they do not."""
    if item.sha256 is None or sha256 == item.sha256:
        return None
    reason = "the worker's machine shows another copy of the file; if it stays so, copy the file into the inbox anew"
    return NotVisible(item.image_id, OTHER_COPY, reason)


def is_visible(item: WorkItem) -> bool:
    """Say whether this machine shows an image as it was journalled."""
    data = read_image(item)
    if isinstance(data, bytes):
        return other_copy(item, hashlib.sha256(data).hexdigest()) is None
    return isinstance(data, Refused)


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


def _not_here(item: WorkItem, reason: str) -> NotVisible:
    return NotVisible(item.image_id, NOT_HERE, reason)


def _other_version(item: WorkItem) -> NotVisible:
    reason = "the file has another size or time on the worker's machine; it changed, or the machine shows an older copy"
    return NotVisible(item.image_id, OTHER_COPY, reason)
