"""What signals do to a command.

SIGTERM ends it in the same way as Ctrl-C: the command undoes or finishes its work before it ends.
"""

import signal
from types import FrameType


def interrupt_on_sigterm() -> None:
    """Let SIGTERM raise KeyboardInterrupt in the main thread of this process."""
    signal.signal(signal.SIGTERM, _interrupt)


def outlive_terminal() -> None:
    """Go on when the terminal is closed; other signals end this process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
