"""The processes that `up` starts, restarts when they die, and ends: broker, worker, watcher and web server."""

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

#: A process that dies this often within so many seconds is not started again.
_MOST_DEATHS = 5
_WITHIN_SECONDS = 60.0

#: Time for a worker to finish its batch, and for a watcher to finish its round, in seconds.
_STOP_SECONDS = 30.0


class Child:
    """A process that runs a command of smearcount, and is started again when it dies."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """Prepare to run `smearcount` with the arguments `command`, without starting it.

        Args:
            name: What messages call the process.
            command: The arguments after `smearcount`.
            environment: Variables that are set beside this process's own, or in their place.
            log: The file for the process's output.
        """
        self.name = name
        self.log = prepare_log(log)
        # -P keeps the user's folder off the import path: a file named redis.py there would be taken for the library.
        self._command = [sys.executable, "-P", "-m", "smearcount.cli.main", *command]
        # People read these files, on a machine without a log collector. SMEARCOUNT_LOG in the environment overrides it.
        self._environment = {"SMEARCOUNT_LOG": "plain", **os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)

    @property
    def pid(self) -> int | None:
        """Id of the process that is running now; None before the start and after the end."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process."""
        self._process = processes.start(self._command, log=self.log, environment=self._environment)

    def keep_alive(self) -> str | None:
        """Start the process again if it has died, and return a message about that; None if it is running.

        Raises:
            CommandError: The process has ended with an error message, or has died five times within a minute.
        """
        if self._process is None or self._process.poll() is None:
            return None
        code = self._process.returncode
        if code in {1, 2}:
            # The process has ended with an error message, for example because another watcher has the inbox.
            raise CommandError(last_error(self.log) or f"the {self.name} ended with code {code}; its log is {self.log}")
        now = time.monotonic()
        self._deaths.append(now)
        if len(self._deaths) == _MOST_DEATHS and now - self._deaths[0] < _WITHIN_SECONDS:
            raise CommandError(f"the {self.name} died {_MOST_DEATHS} times within a minute; its log is {self.log}")
        self.start()
        return f"the {self.name} died ({_how(code)}) and was started again; nothing is lost"

    def stop(self) -> None:
        """End the process; give it 30 s to finish its work."""
        if self._process is not None:
            processes.stop(self._process, seconds=_STOP_SECONDS)
            self._process = None


class Broker:
    """The embedded broker, started again when it dies."""

    def __init__(self, folder: Path, log: Path) -> None:
        """Prepare the broker without starting it."""
        self._server = EmbeddedBroker(folder, prepare_log(log))

    def start(self) -> None:
        """Start the broker and wait until it answers."""
        self._server.start()

    def keep_alive(self) -> str | None:
        """Start the broker again if it has died, and return a message about that; None if it is running."""
        if self._server.is_running():
            return None
        self._server.start()
        return "the broker died and was started again; nothing is lost"

    def stop(self) -> None:
        """End the broker."""
        self._server.stop()


class Supervisor:
    """All processes of one `up`: starts them in order, and ends them in the opposite order."""

    def __init__(self, *members: Child | Broker) -> None:
        """Take the processes in the order in which they are started; none is started yet."""
        self._members = members

    def start(self) -> None:
        """Start all processes."""
        for member in self._members:
            member.start()

    def keep_alive(self) -> list[str]:
        """Start those processes again that have died, and return a message about each of them."""
        return [message for member in self._members if (message := member.keep_alive())]

    def stop(self) -> None:
        """End all processes: the watcher before the workers, and the workers before the broker.

        A second Ctrl-C or SIGTERM in the meantime is ignored.
        """
        before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for member in reversed(self._members):
                member.stop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def last_error(log: Path) -> str | None:
    """Return the last error message in a log, without its "error: "; None if there is none."""
    errors = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("error: ")]
    return errors[-1].removeprefix("error: ") if errors else None


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
