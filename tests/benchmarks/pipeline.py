"""All of smearcount on an inbox: `up --once`, timed from the first image queued to the last result stored."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import create_engine, text

if TYPE_CHECKING:
    # Programs that run outside tests/ import this module, too, and cannot import `support`.
    from support.network.hosts import Host

#: Interval of sampling the processes' CPU time, in seconds; what follows the last sample is lost.
_LOOK_SECONDS = 0.2


class BenchmarkFailed(Exception):
    """A program did not do its work, so there is nothing to time."""


@dataclass(frozen=True)
class Run:
    """One `up --once`."""

    images: int
    #: Seconds from the first image queued to the last result stored.
    seconds: float
    #: Seconds of CPU by kind of process; empty if they were not sampled.
    cpu: Mapping[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Throughput."""
        return self.images / self.seconds


def count_inbox(
    inbox: Path,
    data: Path,
    *,
    images: int,
    workers: int,
    cores: int | None = None,
    environment: Mapping[str, str] | None = None,
    looks_at_cpu: bool = False,
) -> Run:
    """Count an inbox with its own data folder.

    Args:
        inbox: the folder.
        data: a folder that does not exist yet.
        images: number of files in the inbox.
        workers: processes that classify.
        cores: cores that all processes together may use; None for all.
        environment: settings, as variables.
        looks_at_cpu: also tell which processes used the cores.

    Raises:
        BenchmarkFailed: Not every image was counted.
    """
    # The wait for quiet comes after the last result, so it changes only the benchmark's own duration.
    settings = {"SMEARCOUNT_QUIET_SECONDS": "0.5", **(environment or {})}
    words = ["up", str(inbox), "--once", "--data", str(data), "--workers", str(workers)]
    with _limited_to(cores):
        process = subprocess.Popen(
            [sys.executable, "-m", "smearcount.cli.main", *words],
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    cpu = _follow_cpu(process) if looks_at_cpu else {}
    _, said = process.communicate()
    if process.returncode != 0:
        raise BenchmarkFailed(f"up ended with code {process.returncode}: {said.strip()[-500:]}")
    return Run(
        images,
        counting_seconds(settings.get("SMEARCOUNT_DATABASE_URL") or f"sqlite:///{data}/smearcount.db", images),
        cpu,
    )


@contextmanager
def running(
    words: Sequence[str], environment: Mapping[str, str], log: Path, *, host: "Host | None" = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that stays up, on this machine or on a host, and tell it to end."""
    command = [sys.executable, "-m", "smearcount.cli.main", *words]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command if host is None else host.command(command),
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


@contextmanager
def _limited_to(cores: int | None) -> Iterator[None]:
    """Limit the processes started within the context to so many cores; None for all."""
    all_cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_cores)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)


def counting_seconds(database_url: str, images: int) -> float:
    """Return the time from the first image queued to the last result stored.

    Raises:
        BenchmarkFailed: Not so many images were counted.
    """
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:", 1))
    seconds = "(julianday(max(finished_at)) - julianday(min(queued_at))) * 86400"
    if engine.dialect.name == "postgresql":
        seconds = "extract(epoch FROM max(finished_at) - min(queued_at))"
    with engine.connect() as connection:
        counted, took = connection.execute(
            text(f"SELECT count(*), {seconds} FROM images WHERE state = 'done'")  # noqa: S608 (our own words)
        ).one()
    engine.dispose()
    if counted != images:
        raise BenchmarkFailed(f"{counted} of {images} images were counted")
    return float(took)


def _follow_cpu(process: subprocess.Popen[str]) -> dict[str, float]:
    used: dict[tuple[str, int], float] = {}
    while process.poll() is None:
        for one in _family(process.pid):
            try:
                times = one.cpu_times()
                used[_kind(one), one.pid] = times.user + times.system
            except psutil.NoSuchProcess:
                continue
        time.sleep(_LOOK_SECONDS)
    by_kind: dict[str, float] = defaultdict(float)
    for (kind, _), seconds in used.items():
        by_kind[kind] += seconds
    return dict(by_kind)


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kind(process: psutil.Process) -> str:
    words = process.cmdline()
    if "up" in words:
        return "up"
    if "watch" in words:
        return "watcher"
    if "worker" in words:
        parent = process.parent()
        return "classifying" if parent is not None and "worker" in parent.cmdline() else "worker's parent"
    return "broker"
