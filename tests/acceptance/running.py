"""The command as a user runs it, with a data folder of its own."""

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

#: Times shortened so that tests need not wait; everything else is as shipped.
QUICK = {
    "SMEARCOUNT_SETTLE_SECONDS": "0.5",
    "SMEARCOUNT_QUIET_SECONDS": "1",
    "SMEARCOUNT_EMPTY_SECONDS": "1",
    "SMEARCOUNT_BATCH_SECONDS": "20",
    "SMEARCOUNT_REDELIVERY_SECONDS": "25",
    "SMEARCOUNT_RESCAN_SECONDS": "3",
}

_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


@dataclass
class Smearcount:
    """The installed command, with a data folder and settings of its own."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    #: Run without the superuser's right to read whatever it likes.
    obeys_permissions: bool = False

    def all_environment(self) -> dict[str, str]:
        """Return the environment that its commands run in."""
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
            preexec_fn=_obey_permissions if self.obeys_permissions else None,
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

    def status(self) -> list[dict[str, Any]]:
        """Return the state of each inbox; none before there is a database."""
        asked = self.run("status", "--format", "json")
        return list(json.loads(asked.stdout)) if asked.returncode == 0 else []

    def images(self, state: str) -> int:
        """Return how many images are in a state."""
        return sum(inbox[state] for inbox in self.status())

    def is_counted(self, images: int) -> bool:
        """Say whether this many images are finished and every slide is complete."""
        states = self.status()
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


def _obey_permissions() -> None:
    prctl = ctypes.CDLL(None).prctl
    for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
