"""How long a cell waits: from its file's last byte to its stored row, without the settle time."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine, text

from benchmarks.cells import make_inbox
from benchmarks.pipeline import BenchmarkFailed

#: Shorter than the default, so that many files fit into a minute; we subtract it anyway.
SETTLE_SECONDS = 0.5
_PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.005


@dataclass(frozen=True)
class Latency:
    """Seconds from the last byte to the row, beyond the settle time."""

    files: int
    p50: float
    p99: float


class _Up:
    """An `up` in the background, and questions to its database."""

    def __init__(self, inbox: Path, data: Path, workers: int) -> None:
        words = ["up", str(inbox), "--data", str(data), "--workers", str(workers)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smearcount.cli.main", *words],
            env={**os.environ, "SMEARCOUNT_SETTLE_SECONDS": str(SETTLE_SECONDS)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._database = data / "smearcount.db"

    def wait(self, condition: str, at_least: int) -> None:
        """Wait until so many images meet an SQL condition."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.ask(f"SELECT count(*) FROM images WHERE {condition}")[0][0] < at_least:  # noqa: S608
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise BenchmarkFailed("up did not count what was dropped")
            time.sleep(_LOOK_SECONDS)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the database's rows; a zero as long as there is no database."""
        if not self._database.exists():
            return [(0,)]
        engine = create_engine(f"sqlite:///{self._database}")
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        except Exception as error:
            if "no such table" in str(error):
                return [(0,)]
            raise
        finally:
            engine.dispose()

    def end(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def latencies(
    cells: Sequence[Path], scratch: Path, *, files: int, backlog: int, workers: int
) -> tuple[Latency, Latency]:
    """Return the latency of files dropped one at a time, and of files dropped during a backlog."""
    inbox = scratch / "latency-inbox"
    (inbox / "single").mkdir(parents=True)
    up = _Up(inbox, scratch / "latency-data", workers)
    try:
        # The first file of all waits for the processes to start.
        shutil.copyfile(cells[0], inbox / "single" / "first.jpg")
        up.wait("state = 'done'", 1)
        alone = {}
        for number in range(1, files + 1):
            alone[f"alone-{number:04}.jpg"] = _drop(cells[number], inbox / "single" / f"alone-{number:04}.jpg")
            up.wait("state = 'done'", number + 1)
        make_inbox(inbox / "backlog", cells, backlog)
        up.wait("state = 'queued'", 1)
        busy: dict[str, float] = {}
        for number in range(1, files + 1):
            name = f"busy-{number:04}.jpg"
            busy[name] = _drop(cells[files + number], inbox / "single" / name)
            time.sleep(0.02)
        up.wait("state = 'done'", 1 + 2 * files + backlog)
        rows = dict[str, str](up.ask("SELECT filename, finished_at FROM images WHERE folder = 'single'"))
    finally:
        up.end()
    return _latency(alone, rows), _latency(busy, rows)


def _drop(cell: Path, path: Path) -> float:
    shutil.copyfile(cell, path)
    return time.time()


def _latency(dropped: dict[str, float], rows: dict[str, str]) -> Latency:
    seconds = [
        datetime.fromisoformat(str(rows[name])).replace(tzinfo=UTC).timestamp() - at - SETTLE_SECONDS
        for name, at in dropped.items()
    ]
    return Latency(len(seconds), float(np.percentile(seconds, 50)), float(np.percentile(seconds, 99)))
