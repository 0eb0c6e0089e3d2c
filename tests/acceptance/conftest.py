"""What acceptance tests share: the command as a user runs it, with a data folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

#: Times shortened so that tests need not wait; everything else is as shipped.
QUICK = {
    "SMEARCOUNT_SETTLE_SECONDS": "0.5",
    "SMEARCOUNT_QUIET_SECONDS": "1",
    "SMEARCOUNT_EMPTY_SECONDS": "1",
    "SMEARCOUNT_BATCH_SECONDS": "20",
    "SMEARCOUNT_REDELIVERY_SECONDS": "25",
    "SMEARCOUNT_RESCAN_SECONDS": "3",
}


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition to become true; fail the test, saying `what` was waited for, when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.1)


@dataclass
class Smearcount:
    """The installed command, with a data folder and settings of its own."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    #: Run as this user instead of one's own.
    user: int | None = None

    def all_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SMEARCOUNT_")}
        return {**kept, **QUICK, "SMEARCOUNT_DATA": str(self.data), **self.environment}

    def run(self, *arguments: object, seconds: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "cli.main", *map(str, arguments)],
            env=self.all_environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            user=self.user,
        )

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command that stays up; it is ended with the test."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *map(str, arguments)],
            env=self.all_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def json(self, *arguments: object) -> Any:
        """Run a command that prints JSON, and return what it says."""
        done = self.run(*arguments, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def cells(self) -> dict[str, dict[str, int]]:
        """Return the cells per slide and class, identified or not."""
        return {
            slide["slide"]: {**self.json("counts", slide["slide"])["cells"], "unidentified": slide["unidentified"]}
            for slide in self.json("slides")
        }

    def is_counted(self, images: int) -> bool:
        """Say whether this many images are finished and every slide is complete."""
        asked = self.run("status", "--format", "json")
        if asked.returncode != 0:
            return False
        states = json.loads(asked.stdout)
        return bool(states) and all(
            state["done"] + state["duplicates"] + state["quarantined"] == images
            and state["pending"] + state["queued"] + state["arriving"] == 0
            and state["slides_complete"] == state["slides"]
            for state in states
        )

    def end(self) -> None:
        """End what a test has left running, and say whether a process outlived it."""
        for process in self.started:
            descendants = _descendants(process.pid)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.communicate(timeout=40)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
            elif process.stdout is not None:
                process.stdout.close()
            _, alive = psutil.wait_procs(descendants, timeout=20)
            for one in alive:
                one.kill()
            assert not alive, f"processes outlived their parent: {alive}"


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.fixture
def smearcount(tmp_path: Path) -> Iterator[Smearcount]:
    """The command with a fresh data folder; what it started is ended afterwards, and nothing may outlive it."""
    command = Smearcount(tmp_path / "data")
    yield command
    command.end()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder
