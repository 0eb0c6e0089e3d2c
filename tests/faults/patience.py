"""Waiting for what other processes do, and what is raised when it never comes."""

import time
from collections.abc import Callable


class Trouble(Exception):
    """A run did not come to its end; the message says what was waited for."""


def until(
    condition: Callable[[], object], seconds: float, *, what: str | Callable[[], str], pause: float = 0.02
) -> None:
    """Wait for `condition` to hold, asking again after every `pause` seconds.

    Raises:
        Trouble: it does not within `seconds`; says `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble(f"waited {seconds:g} s in vain for {what() if callable(what) else what}")
        time.sleep(pause)
