"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable

import pytest


def wait_until(
    condition: Callable[[], object], seconds: float = 10, *, what: str | Callable[[], str] = "the condition"
) -> None:
    """Wait for `condition` to hold; fail the test, saying `what` was waited for, if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        time.sleep(0.01)
