"""A lock on this machine's network interfaces for tests that run side by side.

Chromium gives up every request when an interface appears or disappears (ERR_NETWORK_CHANGED), and each host has one.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


def unchanged() -> AbstractContextManager[None]:
    """Keep other tests from changing an interface; several tests may hold this at once."""
    return _held(fcntl.LOCK_SH)


def changing() -> AbstractContextManager[None]:
    """Wait until an interface may be changed. Do not call it within `unchanged`: it would wait for itself."""
    return _held(fcntl.LOCK_EX)


@contextmanager
def _held(how: int) -> Iterator[None]:
    # The lock belongs to the open file, so it ends even when the test is killed.
    with (Path(tempfile.gettempdir()) / f"smearcount-test-interfaces-{os.getuid()}").open("a") as file:
        fcntl.flock(file, how)
        yield
