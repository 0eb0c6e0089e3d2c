"""Replacing a file in one step: readers find the old content or the new, never half of it.

The new content goes into a temporary file in the same folder, which is then renamed over the old one. POSIX and Windows
both replace the target of such a rename atomically, as long as the two lie in one file system.
"""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Characters of the file's name that its temporary file repeats, so that a person knows what a leftover of a power cut was.
#: Few enough for file systems that take 255 bytes per name, at 4 bytes per character.
_NAME_PART = 50

#: What file systems answer that cannot sync a folder, or do not let us open one.
_NO_FOLDER_SYNC = frozenset({errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.EISDIR})


def replace_file(path: Path, content: bytes, *, private: bool = False, durable: bool = False) -> None:
    """Write a file whole, in the place of the one that may be there.

    Args:
        path: the file; its folder exists. If it is a symbolic link, the link itself is replaced.
        content: all of its bytes.
        private: let the owner alone read and write it, from the first moment on; otherwise the umask decides.
        durable: wait until the new file is on disk, so that it also outlives a power cut.

    Raises:
        OSError: the file cannot be written; the old one is as it was.
    """
    with replacing_file(path, private=private, durable=durable) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing_file(path: Path, *, private: bool = False, durable: bool = False) -> Iterator[Path]:
    """Yield the path of an empty temporary file, which replaces `path` when the context ends without an exception.

    For content that is too large for memory, or that another program writes. The temporary file lies in the same folder,
    under a name that no other writer uses and that watchers ignore (it begins with a dot and ends in `.part`). An
    exception of any kind, KeyboardInterrupt included, removes it and leaves the old file as it was.

    Args:
        path: the file; its folder exists. If it is a symbolic link, the link itself is replaced.
        private: let the owner alone read and write it, from the first moment on; otherwise the umask decides.
        durable: wait until the new file is on disk, so that it also outlives a power cut.

    Raises:
        OSError: the file cannot be written; the old one is as it was.
    """
    temporary = path.with_name(f".{path.name[:_NAME_PART]}.{secrets.token_hex(8)}.part")
    try:
        # O_EXCL: the name is new, so neither another writer nor a link that somebody has put there is written to.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666))
        yield temporary
        if durable:
            _sync_file(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Put the folder's entries on disk; without it, a power cut may bring back the old file."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
