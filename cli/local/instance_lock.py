"""A lock that allows one `up` per data folder: two would disturb each other's broker and database file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smearcount.cli.errors import CommandError
from smearcount.inbox.paths import to_text


@contextmanager
def lock_data_folder(data: Path, inbox: Path) -> Iterator[None]:
    """Make the data folder and lock it for this process; the kernel releases the lock when the process ends.

    Args:
        data: The data folder.
        inbox: The inbox that is counted; another `up` names it when it finds the folder locked.

    Raises:
        CommandError: The folder cannot be made or written to, or another `up` has locked it.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data / "up.lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise CommandError(
            f"the data folder {data} cannot be used: {error.strerror}; name another with --data"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another inbox"
            raise CommandError(
                f"smearcount already runs with the data folder {data} (for {holder}); stop it, or name another with --data"
            ) from None
        lock.truncate(0)
        lock.write(f"{to_text(str(inbox.absolute()))}, process {os.getpid()}")
        lock.flush()
        yield
