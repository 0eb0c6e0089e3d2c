"""What other users of the machine may do with an installation's files: nothing.

The data folder holds the names of slides, the users' password hashes and the logs. Who may write to it can let themselves in.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from smearcount.cli.errors import CommandError

#: What is made in the data folder. A folder that holds none of it may be somebody's home, and is left as it is.
_OURS = ("smearcount.db", "up.lock", "users.json", "logs", "broker", "models", "evaluations", "demo.truth.csv")
_BESIDE_DATABASE = ("smearcount.db-wal", "smearcount.db-shm", "smearcount.db-journal")

_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def keep_private() -> None:
    """Let everything that this process and its children make be for its user alone."""
    os.umask(_FOR_OTHERS)


def close_data_folder(data: Path) -> list[str]:
    """Take the rights of group and others from what an earlier version, or a restored copy, has left in the data folder.

    Returns:
        What to tell the user, a line each.

    Raises:
        CommandError: others may write to the folder, so what it holds may be anybody's; the message says what to do.
    """
    if not any(_exists(data / name) for name in _OURS):
        return []
    _refuse_writable(data, "the data folder")
    ours = (data / name for name in (*_OURS, *_BESIDE_DATABASE))
    said = []
    is_closed = False
    for path in (data, *ours, *_within(data / "logs"), *_within(data / "models")):
        try:
            is_closed |= _close(path)
        except OSError as error:
            said.append(f"warning: other users may read {path}, and that cannot be changed: {error.strerror}")
    if is_closed:
        said.append(f"the data folder {data} was open to other users of this machine; it is this user's alone now")
    return said


def refuse_writable_file(path: Path, what: str) -> None:
    """Refuse a file that others may write.

    Args:
        path: the file; nothing to refuse if it does not exist.
        what: what messages call it.

    Raises:
        CommandError: others may write it, or exchange it in its folder; the message says what to do.
    """
    for one, name in ((path, what), (path.parent, f"the folder of {what}")):
        _refuse_writable(one, name)


def _refuse_writable(path: Path, what: str) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # whoever reads it says what is wrong
    # In a folder with the sticky bit, such as /tmp, nobody exchanges what is another's.
    if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        raise CommandError(
            f"{what} {path} may be written by every user of this machine, so what it says may be anybody's; look through "
            f"it, then: chmod go-w {path}"
        )


def _close(path: Path) -> bool:
    """Take the rights of others from a file or folder of this user; return whether there were any."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(status.st_mode) or not status.st_mode & _FOR_OTHERS or status.st_uid != os.geteuid():
        return False
    path.chmod(stat.S_IMODE(status.st_mode) & ~_FOR_OTHERS)
    return True


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _within(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
