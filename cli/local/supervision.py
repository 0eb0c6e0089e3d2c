"""The processes that `up` starts, restarts when they die, and ends: broker, worker, watcher, web server, and what else there is.

What had run is started again for ever, after growing pauses: a full disk is cleared some day, and nobody may be there to start
`up` again. Only what cannot even begin ends `up`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from smearcount.cli.errors import CommandError
from smearcount.cli.local import processes
from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.cli.local.readiness import ReadyPipe
from smearcount.cli.local.restarts import Restarts
from smearcount.cli.logs import prepare_log
from smearcount.cli.variables import READY
from smearcount.worker.errors import WorkerError

#: A process that was killed this often before it has ever run will never run.
_MOST_DEATHS_BEFORE_RUNNING = 5

#: Time for a worker to finish its batch, and for a watcher to finish its round, in seconds.
_STOP_SECONDS = 30.0

#: Runs a command of smearcount. -P keeps the user's folder off the import path: a file named redis.py there would be taken for
#: the library.
_PROGRAM = (sys.executable, "-P", "-m", "smearcount.cli.main")

#: At most so much of the end of a log is searched for an error message, in bytes.
_SEARCHED_LOG = 65_536


class Member(Protocol):
    """One of the parts that a `Supervisor` keeps running."""

    def start(self) -> None:
        """Start the part for the first time.

        Raises:
            SmearcountError: It cannot be started; the message says why.
        """

    def keep_alive(self) -> str | None:
        """Start the part again if it has died and its pause is over; return a message about what has happened, if anything.

        Raises:
            CommandError: It has never run, and never will; the message says why.
        """

    def stop(self) -> None:
        """End the part, and let it finish its work first."""


class Child:
    """A process that runs a command of smearcount, and is started again when it dies."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to run `smearcount` with the arguments `command`, without starting it.

        Args:
            name: What messages call the process.
            command: The arguments after `smearcount`; the command calls `report_ready` when its work begins.
            environment: Variables that are set beside this process's own, or in their place.
            log: The file for the process's output.
            clock: Seconds, for the pauses before restarts.
        """
        self.name = name
        self.log = prepare_log(log)
        self._command = [*_PROGRAM, *command]
        # People read these files, on a machine without a log collector. SMEARCOUNT_LOG in the environment overrides it.
        self._environment = {"SMEARCOUNT_LOG": "plain", **os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: ReadyPipe | None = None
        self._restarts = Restarts(clock)
        #: Size of the log when the process was started: what stands before that is of earlier processes.
        self._log_begins_at = 0
        self._has_run = False
        self._deaths = 0

    @property
    def pid(self) -> int | None:
        """Id of the process that is running now; None before the start, during a pause and after the end."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process.

        Raises:
            CommandError: It cannot be started, or its log cannot be opened.
        """
        try:
            self._start()
        except (OSError, subprocess.SubprocessError) as error:
            raise CommandError(f"the {self.name} cannot be started: {_why(error)}") from None

    def keep_alive(self) -> str | None:
        """Start the process again if it has died and its pause is over; return a message about what has happened.

        Raises:
            CommandError: The process has never run, and has ended with an error message or was killed five times.
        """
        if self._process is None:
            return self._restart() if self._restarts.is_due else None
        self._has_run = self._has_run or (self._pipe is not None and self._pipe.has_report())
        code = self._process.poll()
        if code is None:
            return None
        error = last_error(self.log, after=self._log_begins_at)
        self._forget()
        if not self._has_run:
            self._require_hope(code, error)
        how = f"{_how(code)}: {error}" if error else _how(code)
        pause = self._restarts.plan()
        if pause:
            return f"the {self.name} died ({how}) and is started again in {pause:g} s; nothing is lost"
        trouble = self._restart()
        return trouble or f"the {self.name} died ({how}) and was started again; nothing is lost"

    def stop(self) -> None:
        """End the process; give it 30 s to finish its work."""
        if self._process is not None:
            processes.stop(self._process, seconds=_STOP_SECONDS)
        self._forget()

    def _start(self) -> None:
        self._log_begins_at = self.log.stat().st_size if self.log.exists() else 0
        pipe = ReadyPipe()
        try:
            self._process = processes.start(
                self._command,
                log=self.log,
                environment={**self._environment, READY: str(pipe.writing)},
                keep_open=[pipe.writing],
            )
        except BaseException:
            pipe.close()
            raise
        finally:
            pipe.close_writing()
        self._pipe = pipe
        self._restarts.note_start()

    def _restart(self) -> str | None:
        """Start the process again; return a message if that is not possible just now."""
        try:
            self._start()
        except (OSError, subprocess.SubprocessError) as error:
            pause = self._restarts.plan()
            return (
                f"the {self.name} cannot be started just now ({_why(error)}); next try in {pause:g} s, nothing is lost"
            )
        return None

    def _require_hope(self, code: int, error: str | None) -> None:
        self._deaths += 1
        if code in {1, 2}:
            # The process has ended with an error message, for example because another watcher has the inbox.
            raise CommandError(error or f"the {self.name} ended with code {code}; its log is {self.log}")
        if self._deaths == _MOST_DEATHS_BEFORE_RUNNING:
            raise CommandError(f"the {self.name} died {self._deaths} times before it ran; its log is {self.log}")

    def _forget(self) -> None:
        self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


class Broker:
    """The embedded broker, started again when it dies."""

    def __init__(self, folder: Path, log: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare the broker without starting it."""
        self._server = EmbeddedBroker(folder, prepare_log(log))
        self._restarts = Restarts(clock)

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises:
            WorkerError: It cannot be started.
        """
        try:
            self._server.start()
        except OSError as error:
            raise WorkerError(f"the embedded broker cannot be started: {_why(error)}") from None
        self._restarts.note_start()

    def keep_alive(self) -> str | None:
        """Start the broker again if it has died and its pause is over; return a message about what has happened."""
        if self._restarts.is_due:
            return self._restart(after="the broker runs again; nothing is lost")
        if self._server.is_running() or self._restarts.is_planned:
            return None
        pause = self._restarts.plan()
        if pause:
            return f"the broker died and is started again in {pause:g} s; nothing is lost"
        return self._restart(after="the broker died and was started again; nothing is lost")

    def stop(self) -> None:
        """End the broker."""
        self._server.stop()

    def _restart(self, *, after: str) -> str:
        try:
            self.start()
        except WorkerError as error:
            pause = self._restarts.plan()
            return f"the broker cannot be started just now ({_why(error)}); next try in {pause:g} s, nothing is lost"
        return after


class Supervisor:
    """All parts of one `up`: starts them in order, and ends them in the opposite order."""

    def __init__(self, *members: Member) -> None:
        """Take the parts in the order in which they are started; none is started yet."""
        self._members = members

    def start(self) -> None:
        """Start all parts."""
        for member in self._members:
            member.start()

    def keep_alive(self) -> list[str]:
        """Start those parts again that have died, and return a message about each of them."""
        return [message for member in self._members if (message := member.keep_alive())]

    def stop(self) -> None:
        """End all parts: the watcher before the workers, and the workers before the broker.

        A second Ctrl-C or SIGTERM in the meantime is ignored.
        """
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for member in reversed(self._members):
                member.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def last_error(log: Path, *, after: int = 0) -> str | None:
    """Return the last error message in a log from the byte `after` on, without its "error: "; None if there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            # A log that is shorter now was rotated meanwhile.
            file.seek(max(after if after <= size else 0, size - _SEARCHED_LOG))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return None
    errors = [line for line in lines if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else None


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"


def _why(error: Exception) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
