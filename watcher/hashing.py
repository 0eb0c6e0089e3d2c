"""The bytes of a file as the watcher sees them: other machines may show an older copy of the same size and time."""

import hashlib
import os
import stat

from smearcount.inbox.versions import FileVersion

#: Workers refuse larger files without reading them; so one need not be read here.
LARGEST_FILE = 8 * 1024 * 1024


def sha256_of(path: str, version: FileVersion) -> str | None:
    """Return the SHA-256 of a file, in hex; None if something else than this version of it lies there by now.

    Raises:
        OSError: it cannot be read.
    """
    # Non-blocking, so that a pipe put in the file's place cannot hold the watcher up.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as file:  # noqa: PTH123
        if not _is_version(os.fstat(file.fileno()), version):
            return None
        data = file.read(version.size + 1)
        while len(data) < version.size and (more := file.read(version.size - len(data))):
            data += more  # a share may hand a file over in parts
        is_unchanged = _is_version(os.fstat(file.fileno()), version) and len(data) == version.size
    return hashlib.sha256(data).hexdigest() if is_unchanged else None


def _is_version(status: os.stat_result, version: FileVersion) -> bool:
    return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (version.size, version.mtime_ns)
