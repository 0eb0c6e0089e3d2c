"""One soak: everything runs at half load while faults happen; then compare what was counted with what was dropped."""

import argparse
import random
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psutil
import psycopg
from rich.console import Console

from smearcount.worker.settings import usable_cores

from faults.account import Pulse
from faults.background import Background
from faults.faults import FAULTS, Fault
from faults.soak.balance import CALLS, balance
from faults.soak.load import Dropping, Visiting, drop, make_originals
from faults.soak.report import Injected, Soak
from faults.soak.samples import WARM_UP_SECONDS, Sample, look, steadiness, write
from faults.stage import Part, Stage, Wiring
from faults.waiting import Trouble, until
from support.network.hosts import why_unavailable
from support.running import QUICK
from support.servers import ServerCannotStart, free_port

_SAMPLE_SECONDS = 10.0
#: How long the images may take to be finished after the last one was dropped.
_PATIENCE_SECONDS = 900.0
#: By then, PostgreSQL has been through all tables twice, and Valkey has seen each kind of client and rewritten its log.
_SERVER_WARM_UP_SECONDS = 600.0
_SERVERS = {"postgresql", "valkey"}
#: A frozen parent cannot reap its children for a while.
_ZOMBIE_SECONDS = 60.0


class LongStage(Stage):
    """A stage with the web server, and with the default times: an hour is long enough for them."""

    def __init__(self, folder: Path, wiring: Wiring, *, seed: int) -> None:
        super().__init__(folder, wiring, seed=seed)
        self.web_token = secrets.token_hex()
        self.web_address = ""

    def _start_parts(self) -> None:
        super()._start_parts()
        # The host of the servers also runs the web server, which reads the cells' pictures from the inbox.
        host, address = None, "127.0.0.1"
        if self.hosts:
            host, address = self.server_host, self.server_host.address
            host.mount(self.inbox, self.seen_at(host))
        port = free_port()
        self.web_address = f"http://{address}:{port}"
        self.web = self._part("web", self._smearcount("web", "--host", address, "--port", str(port)), host)
        self.web.start()

    def _environment(self) -> dict[str, str]:
        as_shipped = {name: value for name, value in super()._environment().items() if name not in QUICK}
        return as_shipped | {"SMEARCOUNT_WEB_TOKEN": self.web_token}

    def roots(self) -> dict[str, list[int]]:
        """Return the ids of the started processes by role."""
        parts: dict[str, list[Part]] = {"watcher": [self.watcher], "worker": self.workers, "web": [self.web]}
        return {
            **{role: [part.process.pid for part in of_role] for role, of_role in parts.items()},
            "postgresql": [one.pid for one in self.postgresql.processes()[:1]],
            "valkey": [one.pid for one in self.valkey.processes()[:1]],
        }


class Sampling(Background):
    """Samples all processes every ten seconds."""

    def __init__(self, stage: LongStage, file: Path) -> None:
        super().__init__()
        self._stage = stage
        self._file = file
        self.samples: list[Sample] = []

    def _go_on(self) -> None:
        began_at = time.monotonic()
        while not self._ending.wait(_SAMPLE_SECONDS):
            found = look(time.monotonic() - began_at, self._stage.roots(), _role)
            write(found, self._file)
            self.samples += found


def _role(root: str, child: psutil.Process) -> str:
    """Return the role of a process from the role of its ancestor."""
    if root == "postgresql":
        return "postgresql: connection" if "(" in " ".join(child.cmdline()) else root
    return "classifying" if root == "worker" else root


@dataclass(frozen=True)
class Undisturbed:
    """The call of each original by its SHA-256, and the speed."""

    calls: Mapping[str, tuple[str, bool]]
    images_per_second: float


def count_undisturbed(stage: Stage, originals: Sequence[Path]) -> Undisturbed:
    """Count every original once, as fast as it goes.

    Raises:
        Trouble: Not all of them were counted.
    """
    for number in range(len(originals)):
        drop(originals, stage.inbox / "undisturbed", number)
    _await_all(stage, len(originals))
    with psycopg.connect(stage.database_url) as connection:
        calls = {sha: (cell_class, identified) for sha, cell_class, identified in connection.execute(CALLS)}
        row = connection.execute("SELECT extract(epoch FROM max(finished_at) - min(queued_at)) FROM images").fetchone()
    assert row is not None
    if len(calls) != len(originals):
        raise Trouble(f"undisturbed, {len(calls)} of {len(originals)} images were counted")
    return Undisturbed(calls, len(originals) / float(row[0]))


_STILL_OPEN = """
SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM images WHERE state IN ('pending', 'queued')),
       (SELECT count(*) FROM slides WHERE completed_at IS NULL)
"""


def _await_all(stage: Stage, images: int) -> None:
    def is_done() -> bool:
        with psycopg.connect(stage.database_url) as connection:
            return connection.execute(_STILL_OPEN).fetchone() == (images, 0, 0)

    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_done():
        if time.monotonic() > deadline:
            raise Trouble(f"after {_PATIENCE_SECONDS:.0f} s not all of {images} images were finished")
        time.sleep(2)


class Injecting:
    """Injects one fault after the other: every kind once before any is repeated."""

    def __init__(self, stage: Stage, seed: int, say: Console) -> None:
        """Prepare; nothing happens yet."""
        self._stage = stage
        self._dice = random.Random(seed)
        self._say = say
        self._pulse = Pulse(stage.database_url)
        self._ahead: list[Fault] = []
        self._began_at = time.monotonic()
        self.injected: list[Injected] = []
        #: Parts that did not come back after a fault.
        self.troubles: list[str] = []

    def pause(self, seconds: float) -> float:
        """Return a random pause before the next fault, `seconds` on average."""
        return self._dice.uniform(seconds * 2 / 3, seconds * 4 / 3)

    def inject_one(self) -> None:
        """Inject one fault and wait for the next result."""
        if not self._ahead:
            self._ahead = [fault for fault in FAULTS if fault.wiring.fits(self._stage.wiring)]
            self._dice.shuffle(self._ahead)
        fault = self._ahead.pop()
        began_at = time.monotonic()
        try:
            fault.inject(self._stage, self._dice)
            ended_at = time.monotonic()
            then = self._pulse.now().last_result
            until(lambda: self._pulse.now().last_result > then, _PATIENCE_SECONDS, what="the next result")
        except (Trouble, ServerCannotStart) as trouble:
            self.troubles.append(f"{fault.name}: {trouble}")
            self._say.print(f"{fault.name}: {trouble}", markup=False)
            return
        at, recovery = began_at - self._began_at, time.monotonic() - ended_at
        self.injected.append(Injected(at, fault.name, ended_at - began_at, recovery))
        self._say.print(f"{at:7.0f} s  {fault.what}; next result {recovery:.1f} s after its end", markup=False)


def soak(folder: Path, options: argparse.Namespace, say: Console) -> Soak:
    """Run a soak.

    Raises:
        Trouble: It could not begin.
    """
    originals = make_originals(folder / "originals", options.cells, options.seed)
    contents = [sha256(path.read_bytes()).hexdigest() for path in originals]
    wiring = Wiring(hosts=why_unavailable() is None, proxies=True)
    with LongStage(folder / "stage", wiring, seed=options.seed) as stage:
        say.print(f"counting {len(originals):,} images undisturbed ...")
        undisturbed = count_undisturbed(stage, originals)
        load = options.rate or undisturbed.images_per_second / 2
        say.print(
            f"{undisturbed.images_per_second:.0f} images/s; now {load:.0f} a second for {options.minutes:g} minutes ..."
        )
        injecting = Injecting(stage, options.seed, say)
        with (
            Visiting(stage.web_address, stage.web_token, options.seed) as visiting,
            Sampling(stage, options.samples) as sampling,
            Dropping(originals, stage.inbox, per_second=load) as dropping,
        ):
            ends_at = time.monotonic() + options.minutes * 60
            while (left := ends_at - time.monotonic()) > 0:
                pause = injecting.pause(options.pause)
                stage.hold(min(pause, left))
                if pause < left:
                    injecting.inject_one()
                for background in (visiting, sampling, dropping):
                    background.check()
        dropped_at = time.monotonic()
        say.print(f"{dropping.dropped:,} images dropped; waiting for the last ones ...")
        try:
            _await_all(stage, len(originals) + dropping.dropped)
        except Trouble as trouble:
            injecting.troubles.append(str(trouble))
        seconds_to_the_end = time.monotonic() - dropped_at
        sent = Counter(contents)
        for number, content in enumerate(contents):
            sent[content] += (dropping.dropped - number + len(contents) - 1) // len(contents)
        found = balance(stage.database_url, sent, undisturbed.calls)
    return Soak(
        minutes=options.minutes,
        pause=options.pause,
        seed=options.seed,
        processor=_processor(),
        cores=usable_cores(),
        has_hosts=wiring.hosts,
        throughput=undisturbed.images_per_second,
        load=load,
        sent=sent.total(),
        counted=found.counted,
        lost=found.lost,
        twice=found.twice,
        called_otherwise=found.called_otherwise,
        seconds_to_the_end=seconds_to_the_end,
        injected=injecting.injected,
        troubles=injecting.troubles,
        steadiness=steadiness(
            sampling.samples,
            seconds=options.minutes * 60,
            warm_up_seconds=lambda role: min(
                _SERVER_WARM_UP_SECONDS if role in _SERVERS else WARM_UP_SECONDS, options.minutes * 10
            ),
            zombie_seconds=_ZOMBIE_SECONDS,
        ),
        answers={str(status or "none"): count for status, count in sorted(visiting.answers.items(), key=str)},
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
