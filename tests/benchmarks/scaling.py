"""How throughput grows with the hosts that classify: PostgreSQL, Valkey and the watcher on one, a worker on each of the others.

The hosts share this machine's cores. With two workers on two cores, servers and watcher take time from the workers; the
results say how much.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg

from benchmarks.pipeline import BenchmarkFailed, Run, counting_seconds, running
from support.network.hosts import Host, Network
from support.servers import PostgresqlServer, ValkeyServer

_PATIENCE_SECONDS = 600.0
_LOOK_SECONDS = 0.2
_INBOX_NAME = "scaling"

_QUEUED = "SELECT 1 FROM images WHERE state = 'queued' LIMIT 1"
_OPEN = "SELECT 1 FROM images WHERE state IN ('pending', 'queued') LIMIT 1"
_ALL = "SELECT count(*) FROM images"


class Laboratory:
    """A host with the servers and the watcher, and helpers with one worker each; every host mounts the inbox elsewhere."""

    def __init__(self, network: Network, inbox: Path, scratch: Path, *, helpers: int) -> None:
        """Make the hosts and prepare the servers; nothing runs yet."""
        self._scratch = scratch
        self._count = network.host("count")
        self._helpers = [network.host(f"helper-{number}") for number in range(1, helpers + 1)]
        for host in (self._count, *self._helpers):
            host.mount(inbox, self._mount_point(host))
        self._server = PostgresqlServer(port=5432, host=self._count, is_durable=True)
        (scratch / "valkey").mkdir()
        self._valkey = ValkeyServer(scratch / "valkey", 6379, host=self._count)
        self._runs = 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Run the servers."""
        try:
            self._server.start()
            self._valkey.start()
            yield
        finally:
            self._valkey.stop()
            self._server.remove()

    def count(self, images: int, *, helpers: int) -> Run:
        """Count the inbox into an empty database with so many helpers, which have loaded their network before.

        Raises:
            BenchmarkFailed: Not every image was counted.
        """
        self._runs += 1
        folder = self._scratch / f"run-{self._runs}"
        folder.mkdir()
        url = self._server.create(f"scaling_{self._runs}")
        # Use one connection and queries that an index answers, so that asking costs next to nothing.
        with ExitStack() as stack, psycopg.connect(url, autocommit=True) as database:

            def start(host: Host, *words: str) -> subprocess.Popen[bytes]:
                log = folder / f"{host.name}.log"
                return stack.enter_context(running(words, self._settings(host, url), log, host=host))

            workers = [start(helper, "worker") for helper in self._helpers[:helpers]]
            logs = list(folder.iterdir())
            _wait(lambda: all("ready." in log.read_text() for log in logs), workers)
            watcher = start(self._count, "watch", str(self._mount_point(self._count)))
            _wait(lambda: _number(database, _QUEUED) > 0, [watcher])
            before = self._cpu(workers, watcher)
            _wait(lambda: not _number(database, _OPEN) and _number(database, _ALL) == images, [*workers, watcher])
            after = self._cpu(workers, watcher)
        cpu = {kind: seconds - before[kind] for kind, seconds in after.items()}
        return Run(images, counting_seconds(url, images), cpu)

    def _mount_point(self, host: Host) -> Path:
        return self._scratch / f"inbox-of-{host.name}"

    def _settings(self, host: Host, database_url: str) -> dict[str, str]:
        return {
            "SMEARCOUNT_DATA": str(self._scratch / f"data-{host.name}"),
            "SMEARCOUNT_DATABASE_URL": database_url,
            "SMEARCOUNT_BROKER_URL": self._valkey.url,
            "SMEARCOUNT_INBOX_NAME": _INBOX_NAME,
            "SMEARCOUNT_MOUNTS": json.dumps({_INBOX_NAME: str(self._mount_point(host))}),
            "SMEARCOUNT_WORKERS": "1",
        }

    def _cpu(self, workers: Sequence[subprocess.Popen[bytes]], watcher: subprocess.Popen[bytes]) -> dict[str, float]:
        """Return the seconds of CPU by kind of process until now."""
        parents = [psutil.Process(one.pid) for one in workers]
        return {
            "classifying": sum(_own_seconds(child) for parent in parents for child in parent.children()),
            "workers' parents": sum(map(_own_seconds, parents)),
            "watcher": _own_seconds(psutil.Process(watcher.pid)),
            "postgresql": _all_seconds(psutil.Process(self._server.pid)),
            "valkey": _all_seconds(psutil.Process(self._valkey.pid)),
        }


def _own_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _all_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process and its children, ended ones included."""
    times = process.cpu_times()
    ended = float(times.children_user + times.children_system)
    return _own_seconds(process) + ended + sum(map(_own_seconds, process.children()))


def _number(database: psycopg.Connection[tuple[int]], question: LiteralString) -> int:
    row = database.execute(question).fetchone()
    return 0 if row is None else row[0]


def _wait(condition: Callable[[], bool], running_meanwhile: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if any(one.poll() is not None for one in running_meanwhile) or time.monotonic() > deadline:
            raise BenchmarkFailed("a worker or the watcher ended, or did not do its work")
        time.sleep(_LOOK_SECONDS)
