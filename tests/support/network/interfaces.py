"""Taking turns with this machine's network interfaces: tests run side by side.

Chromium gives up whatever it is loading when an interface comes or goes (ERR_NETWORK_CHANGED), and hosts come with one.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


def unchanged() -> AbstractContextManager[None]:
    """Have no other test change an interface; others may ask for the same meanwhile."""
    return _held(fcntl.LOCK_SH)


def changing() -> AbstractContextManager[None]:
    """Wait until an interface may be changed. Not within `unchanged`, which would wait for itself."""
    return _held(fcntl.LOCK_EX)


@contextmanager
def _held(how: int) -> Iterator[None]:
    # The lock is on the open file and ends with it, also when a test is killed.
    with (Path(tempfile.gettempdir()) / f"smearcount-test-interfaces-{os.getuid()}").open("a") as file:
        fcntl.flock(file, how)
        yield
