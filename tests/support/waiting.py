"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable

import pytest

#: How long a test waits, in seconds. An idle machine needs a few; even on a busy one, only a failure takes this long.
PATIENCE = 300.0


def wait_until(condition: Callable[[], object], *, what: str | Callable[[], str] = "the condition") -> None:
    """Wait for `condition` to hold; fail the test, saying `what` was waited for, if it does not within PATIENCE."""
    started_at = time.monotonic()
    while True:
        asked_at = time.monotonic()
        if condition():
            return
        answered_at = time.monotonic()
        if answered_at - started_at > PATIENCE:
            pytest.fail(f"waited {PATIENCE:g} s in vain for {what() if callable(what) else what}")
        # A condition that takes long to check gets a tenth of a core, or five checks a second: other processes have to fulfil it.
        took = answered_at - asked_at
        time.sleep(max(0.01, took, min(9 * took, 0.2)))
