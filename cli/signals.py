"""Ending a command by SIGTERM as by Ctrl-C: what it was at is undone or finished, not cut off."""

import signal
from types import FrameType


def interrupt_on_sigterm() -> None:
    """Raise KeyboardInterrupt when this process is told to end."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
