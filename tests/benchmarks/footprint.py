"""Time to the first result, memory of the processes, and the costs of a large inbox for the watcher."""

import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import create_engine, text

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry, journal
from smearcount.db.migration import migrate
from smearcount.db.queries.inboxes import progress
from smearcount.inbox.ignoring import IgnoredFiles, Ignoring
from smearcount.watcher.assignment import seen_file
from smearcount.watcher.dispatch import Dispatch
from smearcount.watcher.layout import Layout
from smearcount.watcher.scan import unknown_files
from smearcount.watcher.settings import WatcherSettings
from smearcount.worker.queue import BatchQueue
from smearcount.worker.settings import WorkerSettings

from benchmarks.pipeline import BenchmarkFailed, running
from support.memory import peak_bytes

_PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 0.01
_MEGABYTE = 1e6


@dataclass(frozen=True)
class WorkerFootprint:
    """The needs of one `smearcount worker`."""

    #: Seconds from the start of the process, with a batch waiting, to the first result stored.
    first_result_seconds: float
    #: Resident memory of the largest classifying process after its work, in MB.
    process_megabytes: float
    #: Memory of all processes of the worker together, shared pages counted once, per classifying process, in MB.
    share_megabytes: float


@dataclass(frozen=True)
class WatcherFootprint:
    """The needs of one `smearcount watch` for an inbox full of files."""

    files: int
    #: Peak resident memory until all files are journalled, in MB.
    megabytes: float
    #: Seconds from the start of the process until all files are journalled.
    first_scan_seconds: float
    #: Seconds for another scan, when all files are known.
    rescan_seconds: float


def worker_footprint(inbox: Path, scratch: Path, broker_url: str, *, workers: int) -> WorkerFootprint:
    """Measure a worker that starts with the inbox waiting in its queue."""
    url = f"sqlite:///{scratch / 'footprint.db'}"
    environment = _environment(scratch, url, broker_url)
    with Database(url) as database:
        migrate(database)
        inbox_id = inbox_registry.register_inbox(database, "footprint", str(inbox))
        layout = Layout(WatcherSettings().pattern)
        found = unknown_files(str(inbox), "", lambda _: {}, lambda _: None, set(), IgnoredFiles(Ignoring()))
        journal.record(database, inbox_id, [seen_file(one, layout) for one in found if one is not None])
        queue = BatchQueue(WorkerSettings(), broker_url)
        dispatch = Dispatch(database, queue, inbox_id, WatcherSettings())
        dispatch.run()
        started_at = datetime.now(UTC)
        with running(["worker", "--workers", str(workers)], environment, scratch / "worker.log") as process:
            while progress(database).open:
                dispatch.run()
                _look(process, started_at)
            family = psutil.Process(process.pid).children(recursive=True)
            largest = max(one.memory_info().rss for one in family)
            together = sum(one.memory_full_info().pss for one in [psutil.Process(process.pid), *family])
        queue.close()
    first = _first_result(url)
    return WorkerFootprint((first - started_at).total_seconds(), largest / _MEGABYTE, together / workers / _MEGABYTE)


def watcher_footprint(inbox: Path, scratch: Path, broker_url: str, *, files: int) -> WatcherFootprint:
    """Measure a watcher that finds the files of the inbox; no worker runs beside it."""
    url = f"sqlite:///{scratch / 'watcher.db'}"
    environment = _environment(scratch, url, broker_url) | {"SMEARCOUNT_SETTLE_SECONDS": "0"}
    start = time.monotonic()
    with Database(url) as database:
        migrate(database)
        with running(["watch", str(inbox)], environment, scratch / "watcher.log") as process:
            while _journalled(database) < files:
                _look(process, since=None)
                time.sleep(0.2)
            first_scan = time.monotonic() - start
            largest = peak_bytes(process.pid)
        inbox_id = inbox_registry.register_inbox(database, str(inbox), str(inbox))
        start = time.monotonic()
        unknown = unknown_files(
            str(inbox),
            "",
            lambda folder: journal.known_in_folder(database, inbox_id, folder),
            lambda _: None,
            set(),
            IgnoredFiles(Ignoring()),
        )
        if any(probed is not None for probed in unknown):
            raise BenchmarkFailed("the watcher did not journal every file")
        rescan = time.monotonic() - start
    return WatcherFootprint(files, largest / _MEGABYTE, first_scan, rescan)


def _environment(scratch: Path, database_url: str, broker_url: str) -> dict[str, str]:
    return {
        "SMEARCOUNT_DATA": str(scratch / "data"),
        "SMEARCOUNT_DATABASE_URL": database_url,
        "SMEARCOUNT_BROKER_URL": broker_url,
    }


def _look(process: subprocess.Popen[bytes], since: datetime | None) -> None:
    if process.poll() is not None:
        raise BenchmarkFailed(f"{process.args!r} ended with code {process.returncode}")
    if since is not None and (datetime.now(UTC) - since).total_seconds() > _PATIENCE_SECONDS:
        raise BenchmarkFailed(f"{process.args!r} did not end its work in {_PATIENCE_SECONDS:.0f} s")
    time.sleep(_LOOK_SECONDS)


def _first_result(database_url: str) -> datetime:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        first = connection.execute(text("SELECT min(finished_at) FROM images WHERE state = 'done'")).scalar_one()
    engine.dispose()
    return datetime.fromisoformat(first).replace(tzinfo=UTC)


def _journalled(database: Database) -> int:
    with database.reading() as connection:
        return int(connection.execute(text("SELECT count(*) FROM images")).scalar_one())
