"""The faults: what each does to a stage, and what people notice of it.

Every fault is a context manager. Entering it breaks something, which stays broken for as long as the context lasts; after
leaving it, the part that was hit has been started again, or answers again.
"""

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, LiteralString

import psutil
import psycopg

from faults import clock
from faults.backends import frozen, kill
from faults.stage import Part, Stage, Wiring
from faults.waiting import Trouble, until
from support.exports import cell_bytes
from support.network import hosts
from support.network.hosts import Host
from support.worker_process import HANGS, KILLS

#: How long a part may take to come back, in seconds.
_BACK_SECONDS = 300.0
_HOUR = 3600
#: After this time, the host has acknowledged everything: a server that still retransmitted would learn that it is gone.
_ACKNOWLEDGED_SECONDS = 0.3

_PLAIN = Wiring()

Act = Callable[[Stage, random.Random], AbstractContextManager[None]]


@dataclass(frozen=True)
class Fault:
    """One line of the table: what is done, how often and for how long, and what people notice."""

    name: str
    #: Its description in the table.
    what: str
    #: What people notice while it lasts.
    users: str
    act: Act
    #: What it hits; two faults at once hit different things.
    part: str
    #: How often in a run, at random moments.
    times: int = 4
    #: Shortest and longest duration, in seconds.
    lasts: tuple[float, float] = (1.0, 4.0)
    wiring: Wiring = _PLAIN
    #: Whether it may happen while another fault lasts.
    mixes: bool = True

    def inject(self, stage: Stage, chance: random.Random) -> None:
        """Let it begin, last and end; `chance` decides what is random.

        Raises:
            Trouble: The part that was hit does not come back.
        """
        with self.act(stage, chance):
            stage.hold(chance.uniform(*self.lasts))


_HOSTS = Wiring(hosts=True)
_CLOCKS = Wiring(clocks=True)


def _any_worker(stage: Stage, chance: random.Random) -> Part:
    return chance.choice(stage.workers)


def _watcher(stage: Stage, _chance: random.Random) -> Part:
    return stage.watcher


def _ended(part_of: Callable[[Stage, random.Random], Part], how: signal.Signals) -> Act:
    @contextmanager
    def act(stage: Stage, chance: random.Random) -> Iterator[None]:
        part = part_of(stage, chance)
        starts = part.starts
        part.process.send_signal(how)
        yield
        _await_start(part, starts)

    return act


def _frozen(part_of: Callable[[Stage, random.Random], Part]) -> Act:
    @contextmanager
    def act(stage: Stage, chance: random.Random) -> Iterator[None]:
        with frozen(part_of(stage, chance).processes()):
            yield

    return act


def _child_ended(how: signal.Signals) -> Act:
    @contextmanager
    def act(stage: Stage, chance: random.Random) -> Iterator[None]:
        worker, child = _any_child(stage, chance)
        processes = len(worker.children())
        child.send_signal(how)
        yield
        until(
            lambda: child not in worker.children() and len(worker.children()) >= processes,
            _BACK_SECONDS,
            what="another classifying process",
        )

    return act


@contextmanager
def _child_frozen(stage: Stage, chance: random.Random) -> Iterator[None]:
    _, child = _any_child(stage, chance)
    with frozen([child]):
        yield


@contextmanager
def _valkey_killed(stage: Stage, _chance: random.Random) -> Iterator[None]:
    stage.valkey.kill()
    yield
    stage.valkey.start()


@contextmanager
def _valkey_wiped(stage: Stage, _chance: random.Random) -> Iterator[None]:
    stage.valkey.kill()
    stage.valkey.wipe()
    yield
    stage.valkey.start()


@contextmanager
def _valkey_restarted(stage: Stage, _chance: random.Random) -> Iterator[None]:
    stage.valkey.stop()
    yield
    stage.valkey.start()


@contextmanager
def _valkey_frozen(stage: Stage, _chance: random.Random) -> Iterator[None]:
    with frozen(stage.valkey.processes()):
        yield


@contextmanager
def _database_killed(stage: Stage, _chance: random.Random) -> Iterator[None]:
    stage.postgresql.kill()
    yield
    stage.postgresql.start()


@contextmanager
def _database_restarted(stage: Stage, _chance: random.Random) -> Iterator[None]:
    stage.postgresql.stop()
    yield
    stage.postgresql.start()


@contextmanager
def _database_frozen(stage: Stage, _chance: random.Random) -> Iterator[None]:
    with frozen(stage.postgresql.processes()):
        yield


@contextmanager
def _database_slow(stage: Stage, _chance: random.Random) -> Iterator[None]:
    assert stage.database_proxy is not None
    stage.database_proxy.slow_down(0.05, 0.2)
    try:
        yield
    finally:
        stage.database_proxy.speed_up()


@contextmanager
def _database_disk_full(stage: Stage, _chance: random.Random) -> Iterator[None]:
    assert stage.database_disk is not None
    stage.database_disk.fill()
    try:
        yield
    finally:
        stage.database_disk.free()
    deadline = time.monotonic() + _BACK_SECONDS
    while not stage.postgresql.answers():
        if time.monotonic() > deadline:
            raise Trouble("PostgreSQL does not answer although its disk has room again")
        if not stage.postgresql.is_running():  # the server may have ended when its disk was full
            stage.postgresql.start()


@contextmanager
def _broker_disk_full(stage: Stage, _chance: random.Random) -> Iterator[None]:
    assert stage.broker_disk is not None
    stage.broker_disk.fill()
    try:
        yield
    finally:
        stage.broker_disk.free()


@contextmanager
def _database_connections_reset(stage: Stage, _chance: random.Random) -> Iterator[None]:
    assert stage.database_proxy is not None
    stage.database_proxy.reset()
    yield


@contextmanager
def _broker_connections_reset(stage: Stage, _chance: random.Random) -> Iterator[None]:
    assert stage.broker_proxy is not None
    stage.broker_proxy.reset()
    yield


@contextmanager
def _worker_host_cut_off(stage: Stage, chance: random.Random) -> Iterator[None]:
    with _cut_off(chance.choice(stage.worker_hosts)):
        yield


@contextmanager
def _watcher_host_cut_off(stage: Stage, _chance: random.Random) -> Iterator[None]:
    with _cut_off(stage.watcher_host):
        yield


@contextmanager
def _half_open(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Let the servers forget a host's connections without a word that reaches it."""
    host = chance.choice([stage.watcher_host, *stage.worker_hosts])
    with _cut_off(host):
        _forget(stage.server_host, f"dst {host.address}")
        yield


@contextmanager
def _worker_host_dead(stage: Stage, chance: random.Random) -> Iterator[None]:
    """Let a host vanish in the middle of a transaction, if it has one, and come back after a new start."""
    worker = _any_worker(stage, chance)
    assert worker.host is not None
    worker.is_kept = False
    starts = worker.starts
    try:
        _stop_within_transaction(stage, worker, worker.host)
        stage.hold(_ACKNOWLEDGED_SECONDS)
        with _cut_off(worker.host):
            _forget(
                worker.host
            )  # otherwise the kernel would still tell the servers, once the host is back, that the processes are gone
            kill(worker.processes())
            yield
    finally:
        kill(worker.processes())  # still stopped, if something failed
        worker.is_kept = True
    _await_start(worker, starts)


@contextmanager
def _inbox_gone_for_workers(stage: Stage, chance: random.Random) -> Iterator[None]:
    hosts = stage.worker_hosts if chance.random() < 0.5 else [chance.choice(stage.worker_hosts)]
    with _unmounted(stage, hosts):
        yield


@contextmanager
def _inbox_gone_for_watcher(stage: Stage, _chance: random.Random) -> Iterator[None]:
    with _unmounted(stage, [stage.watcher_host]):
        yield


def _clock_of_parts(seconds: int) -> Act:
    @contextmanager
    def act(stage: Stage, chance: random.Random) -> Iterator[None]:
        parts = [stage.watcher, *stage.workers]
        hit = chance.choice([parts, *([part] for part in parts)])
        with _stepped(stage, [part.name for part in hit], seconds):
            yield

    return act


def _clock_of_database(seconds: int) -> Act:
    @contextmanager
    def act(stage: Stage, _chance: random.Random) -> Iterator[None]:
        with _stepped(stage, ["database"], seconds):
            yield

    return act


def _poison(word: bytes) -> Act:
    @contextmanager
    def act(stage: Stage, chance: random.Random) -> Iterator[None]:
        slides = sorted(folder.name for folder in stage.inbox.iterdir())
        number = len(stage.poison)
        path = f"{chance.choice(slides[-3:])}/poison-{number}.jpg"
        # Not a number that the stream uses, so that it is no duplicate.
        (stage.inbox / path).write_bytes(cell_bytes(10_000_000 + number) + word)
        stage.poison.add(path)
        yield

    return act


@contextmanager
def _two_watchers(stage: Stage, chance: random.Random) -> Iterator[None]:
    second = stage.add_watcher(f"watcher {chance.randrange(10**6)}")
    if chance.random() < 0.5:
        stage.watcher.process.kill()  # so that the second watcher takes over the inbox and the first one comes back to it
    yield
    until(
        lambda: any("another watcher" in part.said() for part in (stage.watcher, second)),
        _BACK_SECONDS,
        what="one of two watchers to leave the inbox to the other one",
    )
    second.end()


@contextmanager
def _two_at_once(stage: Stage, chance: random.Random) -> Iterator[None]:
    possible = [fault for fault in FAULTS if fault.mixes and fault.wiring.fits(stage.wiring)]
    first = chance.choice(possible)
    second = chance.choice([fault for fault in possible if fault.part != first.part])
    with first.act(stage, chance), second.act(stage, chance):
        yield


@contextmanager
def _nothing(_stage: Stage, _chance: random.Random) -> Iterator[None]:
    yield


@contextmanager
def _cut_off(host: Host) -> Iterator[None]:
    host.cut_off()
    try:
        yield
    finally:
        host.rejoin()


@contextmanager
def _unmounted(stage: Stage, hosts: Sequence[Host]) -> Iterator[None]:
    for host in hosts:
        host.unmount(stage.seen_at(host))
    try:
        yield
    finally:
        for host in hosts:
            host.mount(stage.inbox, stage.seen_at(host))


@contextmanager
def _stepped(stage: Stage, names: Sequence[str], seconds: int) -> Iterator[None]:
    for name in names:
        stage.clocks[name].step(seconds)
    try:
        yield
    finally:
        for name in names:
            stage.clocks[name].set_right()


def _any_child(stage: Stage, chance: random.Random) -> tuple[Part, psutil.Process]:
    worker = _any_worker(stage, chance)
    until(worker.children, _BACK_SECONDS, what="a classifying process")
    return worker, chance.choice(worker.children())


def _await_start(part: Part, starts: int) -> None:
    until(lambda: part.starts > starts, _BACK_SECONDS, what=f"the {part.name} to be started again")


def _forget(host: Host, which: str = "") -> None:
    """Let a host that is cut off forget its connections, as after a reboot: the other side does not learn of it."""
    sockets = host.command(["ss", "--no-header", "--tcp", "--numeric"])

    def are_gone() -> bool:
        subprocess.run([*sockets, "--kill", *which.split()], check=True, capture_output=True)
        left = subprocess.run([*sockets, *which.split()], check=True, capture_output=True, text=True).stdout
        return not left.strip()

    closed = f"the connections of {host.name} to be closed; the kernel must have CONFIG_INET_DIAG_DESTROY"
    until(are_gone, 5, what=closed)


def _stop_within_transaction(stage: Stage, worker: Part, host: Host) -> None:
    """Stop the processes of a worker for good, within a transaction that has written if one is found in a few seconds.

    While the database is away, there is no transaction to find.
    """
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE client_addr = %s AND backend_xid IS NOT NULL"
    deadline = time.monotonic() + 10
    processes = worker.processes()
    with suppress(psycopg.OperationalError), psycopg.connect(stage.database_url, connect_timeout=2) as connection:
        connection.autocommit = True
        while time.monotonic() < deadline:
            if not _exists(connection, sessions, host.address):
                continue
            for process in processes:
                process.suspend()
            # The server still answers the last statement; if that was a COMMIT, the transaction is over.
            active = f"{sessions} AND state = 'active'"
            until(lambda: not _exists(connection, active, host.address), 5, what="the last answer")  # noqa: B023
            if _exists(connection, sessions, host.address):
                return
            for process in processes:
                process.resume()
    for process in processes:
        process.suspend()


def _exists(connection: psycopg.Connection[Any], query: LiteralString, address: str) -> bool:
    row = connection.execute(query, [address]).fetchone()
    return row is not None and row[0] > 0


def _everything() -> Wiring:
    has_hosts = hosts.why_unavailable() is None
    return Wiring(hosts=has_hosts, disks=has_hosts, proxies=True, clocks=clock.why_unavailable() is None, trouble=True)


NOTHING = Fault("nothing", "none: the run that the others are held against", "", _nothing, "nothing", times=0)

_COUNTS_LATE = "Counts grow later; nothing else."
_NOT_COUNTED = "Slides stay as they are and are shown as counting."
_NO_PAGES = "Pages and commands say that the database does not answer; nothing is counted."
_NOT_NOTICED = "New exports are noticed later; what was noticed is counted."

FAULTS = (
    Fault("worker-killed", "worker, SIGKILL", f"{_COUNTS_LATE} What it had in hand comes again after "
          "one and a half `SMEARCOUNT_BATCH_SECONDS` at the latest.", _ended(_any_worker, signal.SIGKILL), "worker",
          lasts=(0, 1)),
    Fault("worker-restarted", "worker, SIGTERM (restart)", _COUNTS_LATE, _ended(_any_worker, signal.SIGTERM), "worker",
          lasts=(0, 1)),
    Fault("worker-frozen", "worker, SIGSTOP, SIGCONT", _NOT_COUNTED, _frozen(_any_worker), "worker"),
    Fault("child-killed", "a classifying process, SIGKILL", "Nothing; another one takes its place.",
          _child_ended(signal.SIGKILL), "worker", lasts=(0, 1)),
    Fault("child-ended", "a classifying process, SIGTERM", "Nothing; another one takes its place.",
          _child_ended(signal.SIGTERM), "worker", lasts=(0, 1)),
    Fault("child-frozen", "a classifying process, SIGSTOP, SIGCONT", "The other processes go on. One that hangs longer than "
          "`SMEARCOUNT_BATCH_SECONDS` is ended and replaced.", _child_frozen, "worker", lasts=(1, 11)),
    Fault("watcher-killed", "watcher, SIGKILL", _NOT_NOTICED, _ended(_watcher, signal.SIGKILL), "watcher", lasts=(0, 1)),
    Fault("watcher-restarted", "watcher, SIGTERM (restart)", _NOT_NOTICED, _ended(_watcher, signal.SIGTERM), "watcher",
          lasts=(0, 1)),
    Fault("watcher-frozen", "watcher, SIGSTOP, SIGCONT", _NOT_NOTICED, _frozen(_watcher), "watcher"),
    Fault("two-watchers", "a second watcher, while the first one runs or is killed", "Nothing: the second one ends and says "
          "that another watcher has the inbox.", _two_watchers, "watcher", times=3, lasts=(3, 5), mixes=False),
    Fault("broker-killed", "Valkey, SIGKILL", _NOT_COUNTED, _valkey_killed, "broker"),
    Fault("broker-wiped", "Valkey, SIGKILL, and its data are gone", f"{_NOT_COUNTED} What was in the queue is queued again "
          "from the database.", _valkey_wiped, "broker"),
    Fault("broker-restarted", "Valkey, SIGTERM (restart)", _NOT_COUNTED, _valkey_restarted, "broker"),
    Fault("broker-frozen", "Valkey, SIGSTOP, SIGCONT", _NOT_COUNTED, _valkey_frozen, "broker"),
    Fault("broker-disk-full", "disk full for Valkey", f"{_NOT_COUNTED} It refuses messages until there is room.",
          _broker_disk_full, "broker", wiring=Wiring(hosts=True, disks=True)),
    Fault("broker-connections-reset", "connections to Valkey reset", _COUNTS_LATE, _broker_connections_reset,
          "network", times=6, lasts=(0, 1), wiring=Wiring(proxies=True)),
    Fault("database-killed", "PostgreSQL, SIGKILL of the whole server", _NO_PAGES, _database_killed, "database"),
    Fault("database-restarted", "PostgreSQL, restart", _NO_PAGES, _database_restarted, "database"),
    Fault("database-frozen", "PostgreSQL, SIGSTOP, SIGCONT", "Pages and commands wait; nothing is counted.",
          _database_frozen, "database"),
    Fault("database-slow", "PostgreSQL slow: 50 to 200 ms for every answer", "Pages and commands are slow; fewer images are "
          "counted in a second.", _database_slow, "network", times=3, lasts=(3, 6), wiring=Wiring(proxies=True)),
    Fault("database-disk-full", "disk full for PostgreSQL", "Pages may still answer, or say that the database does not; "
          "nothing is counted, and reviews are refused, until there is room.", _database_disk_full, "database",
          wiring=Wiring(hosts=True, disks=True)),
    Fault("database-connections-reset", "connections to PostgreSQL reset", _COUNTS_LATE, _database_connections_reset,
          "network", times=6, lasts=(0, 1), wiring=Wiring(proxies=True)),
    Fault("worker-host-cut-off", "a worker's host cut off and rejoined", "The other workers go on. What it had in hand comes "
          "again after one and a half `SMEARCOUNT_BATCH_SECONDS`, or is stored when it is back.", _worker_host_cut_off, "worker",
          times=3, lasts=(2, 13), wiring=_HOSTS),
    Fault("worker-host-dead", "a worker's host without power in the middle of a transaction, back later",
          "The other workers go on. The slide that it was storing waits until the database has noticed.",
          _worker_host_dead, "worker", times=2, lasts=(3, 8), wiring=_HOSTS),
    Fault("watcher-host-cut-off", "the watcher's host cut off and rejoined", _NOT_NOTICED, _watcher_host_cut_off, "watcher",
          times=3, lasts=(2, 10), wiring=_HOSTS),
    Fault("half-open", "connections half open: the servers have forgotten them, the host has not heard", _COUNTS_LATE,
          _half_open, "network", times=3, lasts=(2, 8), wiring=_HOSTS),
    Fault("inbox-gone-for-workers", "the inbox unmounted where workers run, and mounted again", "Images wait, and say that the "
          "inbox is empty or cannot be reached; other workers go on.", _inbox_gone_for_workers, "inbox", times=3,
          lasts=(2, 8), wiring=_HOSTS),
    Fault("inbox-gone-for-watcher", "the inbox unmounted where the watcher runs, and mounted again", _NOT_NOTICED,
          _inbox_gone_for_watcher, "inbox", times=3, lasts=(2, 8), wiring=_HOSTS),
    Fault("clock-ahead", "clock of watcher or workers an hour ahead, then right again", "Times shown for images and slides of "
          "that span are off by the hour.", _clock_of_parts(_HOUR), "clock", wiring=_CLOCKS),
    Fault("clock-behind", "clock of watcher or workers an hour behind, then right again", "Times shown for images and slides "
          "of that span are off by the hour.", _clock_of_parts(-_HOUR), "clock", wiring=_CLOCKS),
    Fault("database-clock-ahead", "PostgreSQL's clock an hour ahead, then right again", "Nothing.",
          _clock_of_database(_HOUR), "clock", wiring=_CLOCKS),
    Fault("database-clock-behind", "PostgreSQL's clock an hour behind, then right again", "Nothing.",
          _clock_of_database(-_HOUR), "clock", wiring=_CLOCKS),
    Fault("poison-crashes", "an image that crashes the decoder", "That image is set aside after three attempts, with the "
          "reason; the others of its batch are counted a little later.", _poison(KILLS), "poison", lasts=(0, 0),
          wiring=Wiring(trouble=True)),
    Fault("poison-hangs", "an image that hangs the decoder", "The same, after three times `SMEARCOUNT_BATCH_SECONDS`.",
          _poison(HANGS), "poison", times=2, lasts=(0, 0), wiring=Wiring(trouble=True)),
    Fault("everything", "two of them at once, at random", "What they do, together.", _two_at_once, "several", times=8,
          lasts=(1, 5), wiring=_everything(), mixes=False),
)  # fmt: skip
