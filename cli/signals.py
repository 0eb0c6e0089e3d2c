"""SIGTERM ends a command in the same way as Ctrl-C: the command undoes or finishes its work before it ends."""

import signal
from types import FrameType


def interrupt_on_sigterm() -> None:
    """Let SIGTERM raise KeyboardInterrupt in the main thread of this process."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
