"""Real servers, and a real watcher and workers that are restarted whenever they end, for one run."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from smearcount.cli.local import processes
from smearcount.db.engine.database import Database
from smearcount.db.migration import migrate

from faults import clock
from faults.backends import Disk, Postgresql, Valkey, family, kill
from faults.clock import Clock
from faults.proxy import Proxy
from faults.waiting import Trouble, until
from support.network import hosts
from support.network.hosts import Host, Network
from support.running import QUICK

#: Delay before a part that has ended is started again, as by a service manager.
RESTART_SECONDS = 1.0
#: How long the parts may take to be ready, and to end after SIGTERM.
_READY_SECONDS, _END_SECONDS = 300.0, 300.0
#: Sizes of the database's disk and of the broker's.
_DATABASE_MEGABYTES, _BROKER_MEGABYTES = 256, 32

_SERVERS, _WATCHING, _WORKING = "count", "watch", ("work1", "work2")
_WORKER_TIMES = ("batch_seconds", "redelivery_seconds")
_WORKER_WITH_TROUBLE = Path(__file__).parents[1] / "support" / "worker_process.py"


@dataclass(frozen=True)
class Wiring:
    """The equipment of a stage beside servers, a watcher and two worker processes."""

    #: Run the servers on one host, the watcher on another, and each worker on its own.
    hosts: bool = False
    #: Keep the servers' data on small disks, which needs hosts.
    disks: bool = False
    #: Put a proxy before each server.
    proxies: bool = False
    #: Give every program except Valkey its own clock.
    clocks: bool = False
    #: Use workers whose decoder crashes or hangs where the bytes of an image say so.
    trouble: bool = False

    def fits(self, other: "Wiring") -> bool:
        """Tell whether a stage with the other wiring has all of this."""
        return all(getattr(other, name) or not wanted for name, wanted in vars(self).items())

    def lacks(self) -> str | None:
        """Return the reason why this machine cannot provide it; None if it can."""
        if (self.hosts or self.disks) and (why := hosts.why_unavailable()):
            return why
        return clock.why_unavailable() if self.clocks else None


class Part:
    """A watcher or a worker as a service that is restarted whenever it ends."""

    def __init__(
        self, name: str, command: list[str], environment: dict[str, str], log: Path, *, host: Host | None
    ) -> None:
        """Prepare; nothing runs yet."""
        self.name = name
        self.host = host
        self.log = log
        self._command = command if host is None else host.command(command)
        self._environment = environment
        #: Whether it is restarted when it ends.
        self.is_kept = True
        #: How often it was started.
        self.starts = 0
        self._start_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its main process of the last start."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it."""
        self._process = processes.start(self._command, log=self.log, environment=self._environment)
        self.starts += 1

    def tend(self) -> None:
        """Restart it a moment after it has ended."""
        with self._lock:
            if self._process is None or self._process.poll() is None or not self.is_kept:
                self._start_at = 0.0
            elif not self._start_at:
                self._start_at = time.monotonic() + RESTART_SECONDS
            elif time.monotonic() >= self._start_at:
                self._start_at = 0.0
                self.start()

    def processes(self) -> list[psutil.Process]:
        """Return all its processes, the main one first."""
        return family(self._process)

    def children(self) -> list[psutil.Process]:
        """Return the processes that classify."""
        return self.processes()[1:]

    def said(self) -> str:
        """Return everything that it has written to its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def end(self) -> None:
        """End it by SIGTERM and do not restart it.

        Raises:
            Trouble: It did not end, and was killed.
        """
        with self._lock:  # keep `tend` from restarting it meanwhile
            self.is_kept = False
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            kill(self.processes())
            raise Trouble(f"the {self.name} did not end when it was told to") from None


class Stage:
    """Everything that a run needs: `with Stage(folder, Wiring(hosts=True), seed=1) as stage:`.

    It counts files that are put into `stage.inbox` in the database at `stage.database_url`. The end of the context ends
    everything that it has started.
    """

    def __init__(self, folder: Path, wiring: Wiring, *, seed: int = 1, processes: int = 2) -> None:
        """Prepare in an empty folder; nothing runs yet. `processes` is the number of processes that classify."""
        self.wiring = wiring
        self.folder = folder
        self.inbox = folder / "inbox"
        self.logs = folder / "logs"
        self.hosts: dict[str, Host] = {}
        self.workers: list[Part] = []
        #: Paths within the inbox of images that crash or hang their worker.
        self.poison: set[str] = set()
        self.clocks: dict[str, Clock] = {}
        self.database_disk: Disk | None = None
        self.broker_disk: Disk | None = None
        self.database_proxy: Proxy | None = None
        self.broker_proxy: Proxy | None = None
        self._seed = seed
        self._processes = processes
        self._parts: list[Part] = []
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        with ExitStack() as made:
            self._make(made)
            self._made = made.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._made:
            try:
                self.end_parts()
            except Trouble:
                if error is None:
                    raise

    @property
    def watcher_host(self) -> Host:
        """The host that watches."""
        return self.hosts[_WATCHING]

    @property
    def worker_hosts(self) -> list[Host]:
        """The hosts that classify."""
        return [self.hosts[name] for name in _WORKING]

    @property
    def server_host(self) -> Host:
        """The host that database and broker run on."""
        return self.hosts[_SERVERS]

    def seen_at(self, host: Host | None) -> Path:
        """Return where a host sees the inbox: each has its own mount point."""
        return self.inbox if host is None else self.folder / "seen" / host.name

    def hold(self, seconds: float) -> None:
        """Wait while everything runs on."""
        self._ending.wait(seconds)

    def add_watcher(self, name: str = "second watcher") -> Part:
        """Start another watcher of the same inbox."""
        host = self.hosts.get(_WATCHING)
        part = self._part(name, self._smearcount("watch", str(self.seen_at(host))), host)
        part.start()
        return part

    def end_parts(self) -> None:
        """End watcher and workers by SIGTERM.

        Raises:
            Trouble: One of them did not end, or left a process behind.
        """
        try:
            for part in self._parts:
                part.end()
        finally:
            self._ending.set()
            self._end_leftovers()

    def _make(self, made: ExitStack) -> None:
        for folder in (self.inbox, self.logs):
            folder.mkdir(parents=True)
        if self.wiring.hosts or self.wiring.disks:
            network = made.enter_context(Network())
            self.hosts = {name: network.host(name) for name in (_SERVERS, _WATCHING, *_WORKING)}
            for host in (self.watcher_host, *self.worker_hosts):
                host.mount(self.inbox, self.seen_at(host))
        self._start_database(made)
        self._start_broker(made)
        if self.wiring.proxies:
            self._start_proxies(made)
        made.callback(self.end_parts)
        self._keeper.start()
        self._start_parts()

    def _start_database(self, made: ExitStack) -> None:
        server = self.postgresql = Postgresql(self.hosts.get(_SERVERS))
        made.callback(server.remove)
        if self.wiring.clocks:
            self.clocks["database"] = Clock(server.folder / "clock")
            server.environment = self.clocks["database"].environment
        server.start()
        #: The address that the tests use; the parts may go through a proxy.
        self.database_url = server.create("smearcount")
        with Database(self.database_url) as database:
            migrate(database)
        if self.wiring.disks:
            server.stop()
            self.database_disk = server.move_to_disk(megabytes=_DATABASE_MEGABYTES)
            server.start()

    def _start_broker(self, made: ExitStack) -> None:
        self.valkey = Valkey(self.folder / "valkey", self.hosts.get(_SERVERS))
        if self.wiring.disks:
            self.broker_disk = Disk(self.server_host, self.valkey.folder, megabytes=_BROKER_MEGABYTES)
        made.callback(self.valkey.kill)
        self.valkey.start()

    def _start_proxies(self, made: ExitStack) -> None:
        # This machine is .1 in a network of hosts.
        address = f"{self.server_host.address.rpartition('.')[0]}.1" if self.hosts else "127.0.0.1"
        self.database_proxy = Proxy((self.postgresql.address, self.postgresql.port), self._seed, address)
        made.callback(self.database_proxy.close)
        self.broker_proxy = Proxy((self.valkey.address, self.valkey.port), self._seed + 1, address)
        made.callback(self.broker_proxy.close)

    def _start_parts(self) -> None:
        self.watcher = self.add_watcher("watcher")
        if self.hosts:
            hosts = enumerate(self.worker_hosts)
            self.workers = [
                self._add_worker(f"worker {number + 1}", self._processes // 2, host) for number, host in hosts
            ]
        else:
            self.workers = [self._add_worker("worker", self._processes, None)]
        for worker in self.workers:
            until(partial(_is_ready, worker), _READY_SECONDS, what=partial(_unready, worker))
        with Database(self.database_url) as database:
            until(lambda: _is_watched(database), _READY_SECONDS, what=partial(_unready, self.watcher))

    def _add_worker(self, name: str, processes: int, host: Host | None) -> Part:
        command = self._smearcount("worker", "--workers", str(processes))
        if self.wiring.trouble:
            settings = {
                "workers": processes,
                "mounts": str(self.seen_at(host)),
                **{name: float(QUICK[f"SMEARCOUNT_{name.upper()}"]) for name in _WORKER_TIMES},
            }
            command = [sys.executable, str(_WORKER_WITH_TROUBLE), self._broker_url(), self._parts_database_url()]
            command.append(json.dumps(settings))
        part = self._part(name, command, host)
        part.start()
        return part

    def _smearcount(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "smearcount.cli.main", *arguments]

    def _part(self, name: str, command: list[str], host: Host | None) -> Part:
        environment = self._environment() | {"SMEARCOUNT_MOUNTS": str(self.seen_at(host))}
        if self.wiring.clocks:
            self.clocks[name] = Clock(self.folder / f"clock-{len(self._parts)}")
            environment |= self.clocks[name].environment
        part = Part(name, command, environment, self.logs / f"{name}.log", host=host)
        self._parts.append(part)
        return part

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SMEARCOUNT_")}
        return {
            **kept,
            **QUICK,
            "SMEARCOUNT_DATA": str(self.folder / "data"),
            "SMEARCOUNT_INBOX_NAME": "inbox",
            "SMEARCOUNT_LOG": "plain",
            "SMEARCOUNT_DATABASE_URL": self._parts_database_url(),
            "SMEARCOUNT_BROKER_URL": self._broker_url(),
        }

    def _parts_database_url(self) -> str:
        return self._through(self.database_proxy, self.database_url, self.postgresql.address, self.postgresql.port)

    def _broker_url(self) -> str:
        return self._through(self.broker_proxy, self.valkey.url, self.valkey.address, self.valkey.port)

    def _through(self, proxy: Proxy | None, url: str, address: str, port: int) -> str:
        return url if proxy is None else url.replace(f"{address}:{port}", f"{proxy.address}:{proxy.port}")

    def _keep(self) -> None:
        while not self._ending.wait(0.05):
            for part in list(self._parts):
                part.tend()

    def _end_leftovers(self) -> None:
        """Make sure that no process of a part outlives the stage.

        Raises:
            Trouble: One did, and was killed.
        """
        try:
            until(lambda: not self._left(), _END_SECONDS, what="processes of the parts to be gone")
        finally:
            kill(self._left())

    def _left(self) -> list[psutil.Process]:
        ours = str(self.folder / "data")
        return [one for one in psutil.process_iter() if one.pid != os.getpid() and _environment_of(one) == ours]


def _environment_of(process: psutil.Process) -> str | None:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        data: str | None = process.environ().get("SMEARCOUNT_DATA")
    except (psutil.Error, OSError):
        return None  # it has just ended, or belongs to another user
    return data


def _unready(part: Part) -> str:
    return f"the {part.name}, which last said: {part.said()[-500:]}"


def _is_ready(worker: Part) -> bool:
    return " ready." in worker.said()


def _is_watched(database: Database) -> bool:
    with database.reading() as connection:
        return bool(
            connection.exec_driver_sql("SELECT count(*) FROM inboxes WHERE watched_at IS NOT NULL").scalar_one()
        )
