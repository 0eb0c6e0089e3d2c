"""Errors of the command line itself, and the exit codes."""

from enum import IntEnum

from smearcount.differential.errors import SmearcountError


class CommandError(SmearcountError):
    """A command cannot do what it was asked to do."""


class ExitCode(IntEnum):
    """Exit status of a command."""

    DONE = 0
    FAILED = 1
    #: The command line was not understood (click's own code).
    USAGE = 2
    #: All files were processed, but some could not be counted.
    QUARANTINED = 3
    #: The command was ended by Ctrl-C or SIGTERM; shells use this code for SIGINT.
    INTERRUPTED = 130


class ExitWith(Exception):
    """Ends the command with an exit code other than 0; all messages have been printed already."""

    def __init__(self, code: ExitCode) -> None:
        """Keep the code for `main`."""
        super().__init__(code)
        self.code = code
