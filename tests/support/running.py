"""The command `smearcount` as a user runs it, with its own data folder."""

import ctypes
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from smearcount.cli.main import main
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.queries.counts import slide_tallies
from smearcount.db.queries.inboxes import inbox_lines, progress
from smearcount.db.records import InboxLine, Progress

from support.waiting import PATIENCE

#: Shorter times than the defaults, so that tests need not wait; all other settings keep their defaults.
QUICK = {
    "SMEARCOUNT_SETTLE_SECONDS": "0.5",
    "SMEARCOUNT_QUIET_SECONDS": "1",
    "SMEARCOUNT_EMPTY_SECONDS": "1",
    "SMEARCOUNT_BATCH_SECONDS": "8",
    "SMEARCOUNT_REDELIVERY_SECONDS": "10",
    "SMEARCOUNT_RESCAN_SECONDS": "3",
    # Some of these are deprecated; tests count the lines of a command's messages.
    "SMEARCOUNT_WARNED": "true",
    # One process that classifies: each takes a second to start. Tests of several set it.
    "SMEARCOUNT_WORKERS": "1",
    # Tests of the pages turn it on.
    "SMEARCOUNT_WEB": "false",
}

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


@dataclass
class Smearcount:
    """The installed command with its own data folder and settings."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    #: Whether `run` drops the superuser's right to read every file.
    obeys_permissions: bool = False

    def all_environment(self) -> dict[str, str]:
        """Return the environment that its commands run in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SMEARCOUNT_")}
        return {**kept, **QUICK, "SMEARCOUNT_DATA": str(self.data), **self.environment}

    def run(self, *arguments: object, seconds: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own and wait for its end."""
        return subprocess.run(
            [sys.executable, "-m", "smearcount.cli.main", *map(str, arguments)],
            env=self.all_environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            preexec_fn=_obey_permissions if self.obeys_permissions else None,
        )

    def call(self, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in this process, which takes a tenth of the time; use it for commands that start no processes.

        Args:
            arguments: The words after `smearcount`.
            typed: What the command reads from standard input, which is no terminal.
        """
        words = [str(argument) for argument in arguments]
        said, errors = io.StringIO(), io.StringIO()
        environment = mock.patch.dict(os.environ, self.all_environment(), clear=True)
        with (
            _undone(), environment, mock.patch.object(sys, "stdin", io.StringIO(typed)),
            redirect_stdout(said), redirect_stderr(errors),
        ):  # fmt: skip
            code = main(words)
        return subprocess.CompletedProcess(words, code, said.getvalue(), errors.getvalue())

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command that keeps running; `end` ends it after the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "smearcount.cli.main", *map(str, arguments)],
            env=self.all_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def json(self, *arguments: object) -> Any:
        """Run a command that prints JSON, in this process, and return what it says."""
        done = self.call(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def cells(self) -> dict[str, dict[str, int]]:
        """Return the cells per slide and class, identified or not."""
        with self._database() as database:
            tallies = [one.tally for one in slide_tallies(database)]
        return {
            tally.slide: {**{cell_class.value: count for cell_class, count in tally.cells.items()}}
            | {"unidentified": tally.unidentified}
            for tally in tallies
        }

    def status(self) -> list[tuple[InboxLine, Progress]]:
        """Return the state of each inbox; none before there is a database.

        It reads the database directly: tests ask many times a second, and a command each time would keep the machine busy.
        """
        try:
            with self._database() as database:
                return [(line, progress(database, inbox=line.name)) for line in inbox_lines(database)]
        except DatabaseError:
            return []

    def images(self, state: str) -> int:
        """Return how many images are in a state."""
        return sum(getattr(state_of, state) for _, state_of in self.status())

    def is_watching(self) -> bool:
        """Say whether the watcher has begun its work."""
        return any(line.watched_at is not None for line, _ in self.status())

    def is_counted(self, images: int) -> bool:
        """Say whether this many images are finished and every slide is complete."""
        status = self.status()
        return bool(status) and all(
            state.finished == images and state.open + line.arriving == 0 and state.slides_complete == state.slides
            for line, state in status
        )

    def _database(self) -> Database:
        own = f"sqlite:///{self.data / 'smearcount.db'}"
        return Database(self.environment.get("SMEARCOUNT_DATABASE_URL") or own)

    def end(self) -> None:
        """End what a test has left running, and fail if a process outlives its parent."""
        for process in self.started:
            descendants = _descendants(process.pid)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.communicate(timeout=PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
            elif process.stdout is not None:
                process.stdout.close()
            _, alive = psutil.wait_procs(descendants, timeout=PATIENCE)
            for one in alive:
                one.kill()
            assert not alive, f"processes outlived their parent: {alive}"


@contextmanager
def _undone() -> Iterator[None]:
    """Let a command have the umask that it has in a process of its own; restore that, logging and signal handlers."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    mask = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(mask)
        root.handlers[:] = handlers
        root.setLevel(level)
        for number, handler in signals.items():
            signal.signal(number, handler)


def _obey_permissions() -> None:
    prctl = ctypes.CDLL(None).prctl
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
