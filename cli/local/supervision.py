"""The processes that `up` starts and keeps alive: broker, worker and watcher."""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from smearcount.cli.errors import CommandError
from smearcount.cli.local import processes
from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.cli.logs import prepare_log

#: A process that dies more often than this within a minute is not started again.
_MOST_DEATHS = 5
_WITHIN_SECONDS = 60.0

#: How long a worker may take to finish its batch, and a watcher its round, in seconds.
_STOP_SECONDS = 30.0


class Child:
    """One of our own commands as a process that is started again when it dies."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Prepare to run `smearcount` with the arguments `command`; nothing is started yet."""
        self.name = name
        self.log = prepare_log(log)
        self._command = [sys.executable, "-m", "smearcount.cli.main", *command]
        # People read these files, on a machine without a log collector; whoever sets another form gets it.
        self._environment = {"SMEARCOUNT_LOG": "plain", **os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)

    @property
    def pid(self) -> int | None:
        """Process id of the process running now."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process."""
        self._process = processes.start(self._command, log=self.log, environment=self._environment)

    def keep_alive(self) -> str | None:
        """Start the process again if it has died; return what to say about that, if anything.

        Raises:
            CommandError: it dies again and again, or at once for a reason that will not go away.
        """
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        if code in {1, 2}:
            # It ended by itself with an error message, such as an inbox that another watcher has.
            raise CommandError(last_error(self.log) or f"the {self.name} ended with code {code}; its log is {self.log}")
        now = time.monotonic()
        self._deaths.append(now)
        if len(self._deaths) == _MOST_DEATHS and now - self._deaths[0] < _WITHIN_SECONDS:
            raise CommandError(f"the {self.name} died {_MOST_DEATHS} times within a minute; its log is {self.log}")
        self.start()
        return f"the {self.name} died ({_how(code)}) and was started again; nothing is lost"

    def stop(self) -> None:
        """End the process, after the work under way."""
        if self._process is not None:
            processes.stop(self._process, seconds=_STOP_SECONDS)
            self._process = None


class Broker:
    """The embedded broker, started again when it dies."""

    def __init__(self, folder: Path, log: Path) -> None:
        """Prepare; nothing is started yet."""
        self._server = EmbeddedBroker(folder, prepare_log(log))

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._server.start()

    def keep_alive(self) -> str | None:
        """Start it again if it has died; return what to say about that, if anything."""
        if self._server.is_running():
            return None
        self._server.start()
        return "the broker died and was started again; nothing is lost"

    def stop(self) -> None:
        """End it."""
        self._server.stop()


class Crew:
    """All processes of one `up`, started in order and ended in the opposite order."""

    def __init__(self, *members: Child | Broker) -> None:
        """Prepare; nothing is started yet."""
        self._members = members

    def start(self) -> None:
        """Start all."""
        for member in self._members:
            member.start()

    def keep_alive(self) -> list[str]:
        """Start again what has died; return what to say about it."""
        return [said for member in self._members if (said := member.keep_alive())]

    def stop(self) -> None:
        """End all, the watcher before the workers and those before the broker; a second Ctrl-C does not cut this short."""
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for member in reversed(self._members):
                member.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def last_error(log: Path) -> str | None:
    """Return the last error message that a command of ours wrote to its log."""
    errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else None


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
