"""What can go wrong on the command line itself, and the exit codes."""

from enum import IntEnum

from smearcount.differential.errors import SmearcountError


class CommandError(SmearcountError):
    """A command cannot do what it was asked."""


class ExitCode(IntEnum):
    """What a command's exit status means."""

    DONE = 0
    FAILED = 1
    #: The command line was not understood (click's own code).
    USAGE = 2
    #: Everything was processed, but some files could not be counted.
    QUARANTINED = 3
    #: Ended by Ctrl-C or SIGTERM, as a shell reports it.
    INTERRUPTED = 130


class ExitWith(Exception):
    """Ends the command with an exit code other than 0, when all has been said."""

    def __init__(self, code: ExitCode) -> None:
        """Keep the code."""
        super().__init__(code)
        self.code = code
