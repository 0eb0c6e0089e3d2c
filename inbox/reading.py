"""Read exactly one version of a file in the inbox, from inside the inbox and from nowhere else.

Between the moment a file was seen and the moment it is read, anything can take its place: a newer version, a pipe, a link to
a file elsewhere. Watcher, workers and web server all read through `read_version`, which returns the bytes of the version
asked for or raises.
"""

import errno
import os
import stat
from typing import Self

from smearcount.inbox.beneath import open_folder
from smearcount.inbox.versions import FileVersion, time_between

#: No cell image comes near this many bytes: analyzers write 20 kB, and an uncompressed one of the largest size has 1 MiB.
LARGEST_FILE = 2 * 1024 * 1024

#: How far the time of a file may differ from that of the version asked for, in nanoseconds; None: the time does not count.
EXACT_TIME = 0
#: File systems keep times to a nanosecond or to two seconds, and one share may show another precision per machine.
SHARED_TIME_PRECISION_NS = 2_000_000_000
ANY_TIME = None

#: Folders held open at a time: no batch has more images.
_MOST_OPEN_FOLDERS = 64

# O_NONBLOCK: a pipe in the file's place must not block the reader.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnexpectedFile(Exception):
    """Something else than the version asked for lies at the path."""


class LeavesInbox(UnexpectedFile):
    """A symbolic link, or the path itself, leads out of the inbox."""


class NotAFile(UnexpectedFile):
    """A folder, a pipe or a device lies there."""


class OtherVersion(UnexpectedFile):
    """The file has another size or time, or changed while it was read."""

    def __init__(self, size: int) -> None:
        """Keep the size that the file has now, in bytes."""
        super().__init__(size)
        self.size = size


class TooLarge(UnexpectedFile):
    """The file is the version asked for, and larger than LARGEST_FILE."""

    def __init__(self, size: int) -> None:
        """Keep the size of the file, in bytes."""
        super().__init__(size)
        self.size = size


class OpenFolders:
    """Keeps folders of inboxes open, so that the folder of a batch's images is resolved once.

    Resolving a folder takes as long as reading a file. Use one for files that are read in the same moment only: a folder that
    is moved away meanwhile stays the one that is read from.
    """

    def __init__(self) -> None:
        """Open nothing yet."""
        self._descriptors: dict[tuple[str, str], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all folders."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])

    def descriptor(self, root: str, folder: str) -> int:
        """Return a descriptor of a folder, for use as `dir_fd`; it stays open until `close`, or 64 more folders.

        Raises:
            LeavesInbox: the folder does not lie within the inbox.
            OSError: it cannot be opened.
        """
        known = self._descriptors.get((root, folder))
        if known is not None:
            return known
        if len(self._descriptors) >= _MOST_OPEN_FOLDERS:
            os.close(self._descriptors.pop(next(iter(self._descriptors))))
        opened = open_folder(*_resolved(root, folder))
        self._descriptors[root, folder] = opened
        return opened


def read_version(
    root: str, path: str, version: FileVersion, *, time_precision_ns: int | None, folders: OpenFolders | None = None
) -> bytes:
    """Return the bytes of a file in an inbox, if it still is the version asked for.

    Symbolic links are followed as long as they stay within the inbox.

    Args:
        root: the inbox, as `os` functions take it.
        path: path of the file within the inbox, likewise.
        version: which version to read.
        time_precision_ns: EXACT_TIME, SHARED_TIME_PRECISION_NS or ANY_TIME.
        folders: shared by the files of a batch.

    Raises:
        LeavesInbox: a link leads out of the inbox.
        NotAFile: something else than a regular file lies there.
        OtherVersion: another version lies there.
        TooLarge: the version asked for is larger than LARGEST_FILE.
        OSError: the file cannot be opened or read. ELOOP: links lead in a circle. ENXIO: a socket lies there.
    """
    if folders is None:
        with OpenFolders() as own:
            return read_version(root, path, version, time_precision_ns=time_precision_ns, folders=own)
    folder, name = os.path.split(path)
    try:
        descriptor = os.open(name, _FILE_FLAGS, dir_fd=folders.descriptor(root, folder))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        descriptor = _open_link(root, path)
    try:
        return _read(descriptor, version, time_precision_ns)
    finally:
        os.close(descriptor)


def is_version(status: os.stat_result, version: FileVersion, *, time_precision_ns: int | None) -> bool:
    """Say whether size and time of a file are those of a version, the time to the given precision."""
    return status.st_size == version.size and (
        time_precision_ns is None or time_between(status.st_mtime_ns, version.mtime_ns) <= time_precision_ns
    )


def _read(descriptor: int, version: FileVersion, time_precision_ns: int | None) -> bytes:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise NotAFile
    if not is_version(before, version, time_precision_ns=time_precision_ns):
        raise OtherVersion(before.st_size)
    if before.st_size > LARGEST_FILE:
        raise TooLarge(before.st_size)
    data = _read_up_to(descriptor, version.size + 1)  # one more, to see a file that has grown
    after = os.fstat(descriptor)
    if len(data) != version.size or not is_version(after, version, time_precision_ns=time_precision_ns):
        raise OtherVersion(after.st_size)
    return data


def _read_up_to(descriptor: int, size: int) -> bytes:
    data = os.read(descriptor, size)
    # A network share may return a file in parts.
    while len(data) < size and (more := os.read(descriptor, size - len(data))):
        data += more
    return data


def _resolved(root: str, path: str) -> tuple[str, str]:
    """Return the inbox and a path within it without symbolic links; "." is the inbox itself."""
    real_root = os.path.realpath(root)
    real = os.path.realpath(os.path.join(real_root, path))  # noqa: PTH118
    if os.path.commonpath([real_root, real]) != real_root:
        raise LeavesInbox
    return real_root, os.path.relpath(real, real_root)


def _open_link(root: str, path: str) -> int:
    """Open the file that a link within the inbox leads to."""
    real_root, real_path = _resolved(root, path)
    folder, name = os.path.split(real_path)
    descriptor = open_folder(real_root, folder or ".")
    try:
        return os.open(name, _FILE_FLAGS, dir_fd=descriptor)
    finally:
        os.close(descriptor)
