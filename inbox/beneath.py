"""Opening what lies beneath a folder, and nothing else, whatever is moved or linked meanwhile.

Linux 5.6 and later refuse themselves to leave the folder (openat2, RESOLVE_BENEATH). Elsewhere, and where a container's filter
forbids the call, the path is opened part by part without following a link, which comes to the same.
"""

import ctypes
import errno
import os
import platform
import stat
import sys

#: The same on every architecture that Linux got after 2011, which all that count have followed.
_SYS_OPENAT2 = 437
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
#: Times to try again when a folder was renamed at the same moment, about which the kernel cannot be sure.
_TRIES = 20

# O_PATH (Linux) needs no right to list a folder, only to pass through it.
FOLDER_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC


class _How(ctypes.Structure):
    """`struct open_how` of the Linux kernel."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_folder(root: str, path: str) -> int:
    """Open a folder below `root`, both without symbolic links; a link that is there now was put there just now.

    Args:
        root: absolute path of the folder above; "." is opened as itself.
        path: relative path.

    Raises:
        OSError: it cannot be opened. ELOOP: a link lies on the way.
    """
    folder = os.open(root, FOLDER_FLAGS)
    try:
        if _has_openat2():
            return _openat2(folder, path)
    except OSError as error:
        if error.errno not in {errno.EAGAIN, errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.ENOTDIR}:
            raise
    finally:
        os.close(folder)
    return _part_by_part(root, path)


def _has_openat2() -> bool:
    return sys.platform == "linux" and platform.machine() in {"x86_64", "aarch64"}


def _openat2(folder: int, path: str) -> int:
    how = _How(FOLDER_FLAGS, 0, _BENEATH | _NO_SYMLINKS | _NO_MAGICLINKS)
    name = os.fsencode(path)
    number = 0
    for _ in range(_TRIES):
        found = _SYSCALL(_SYS_OPENAT2, folder, name, ctypes.byref(how), ctypes.sizeof(how))
        if found >= 0:
            return int(found)
        number = ctypes.get_errno()
        if number not in {errno.EAGAIN, errno.EINTR}:
            break
    raise OSError(number, os.strerror(number))


def _part_by_part(root: str, path: str) -> int:
    folder = os.open(root, FOLDER_FLAGS)
    for part in path.split("/"):
        try:
            within = os.open(part, FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=folder)
        except NotADirectoryError:
            # The system says the same of a file and of a link that is not followed.
            if stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
            raise
        finally:
            os.close(folder)
        folder = within
    return folder


_SYSCALL = ctypes.CDLL(None, use_errno=True).syscall
_SYSCALL.restype = ctypes.c_long
