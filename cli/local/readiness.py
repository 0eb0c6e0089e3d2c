"""How a process that `up` has started tells `up` that it runs: its settings are in order, and its work begins.

Before that, an error ends `up`, because it would come again at each start: the model is damaged, another watcher has the
inbox. After that, whatever ends the process, such as a full disk, may pass by itself.
"""

import os
import stat
from contextlib import suppress

from smearcount.cli.variables import ready_pipe


class ReadyPipe:
    """The pipe of one start of a process; `up` reads from it, the process writes to it."""

    def __init__(self) -> None:
        """Open the pipe."""
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)

    def close_writing(self) -> None:
        """Close this process's copy of the end that the started process writes to."""
        os.close(self.writing)

    def has_report(self) -> bool:
        """Say whether the process has reported that it runs; asks once for each report."""
        try:
            return os.read(self._reading, 1) != b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the end that is read from."""
        os.close(self._reading)


def report_ready() -> None:
    """Tell the `up` that has started this process that it runs now; do nothing if no `up` has."""
    number = ready_pipe()
    # An `up` that was killed reads no longer. Anything but a pipe is a variable that came from somewhere else.
    with suppress(OSError):
        if number is not None and stat.S_ISFIFO(os.fstat(number).st_mode):
            os.write(number, b"+")
            os.close(number)
