"""Waiting for other processes in tools that run outside pytest, and the error when the wait is in vain."""

import time
from collections.abc import Callable


class Trouble(Exception):
    """A wait was in vain; the message says what for."""


def until(
    condition: Callable[[], object], seconds: float, *, what: str | Callable[[], str], pause: float = 0.02
) -> None:
    """Wait for `condition` to hold, asking again after every `pause` seconds.

    Raises:
        Trouble: It does not hold within `seconds`; the message names `what`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Trouble(f"waited {seconds:g} s in vain for {what() if callable(what) else what}")
        time.sleep(pause)
