"""How fast smearcount is, compared with what it has to reach.

    make bench                                    everything, about 25 minutes
    make bench BENCH="--only speed --only latency"

Everything runs on this machine and on the same images, one measurement after the other. Figures that are compared are measured
in turns (A B C, A B C, ...), so that a busy minute of the machine hits all of them; we quote the medians. Inboxes hold links
where the temporary folder (TMPDIR) is on the images' file system; elsewhere the largest takes 4 GB.
"""

import argparse
import itertools
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.db.engine.database import Database
from smearcount.db.migration import migrate
from smearcount.differential.errors import SmearcountError
from smearcount.worker.settings import usable_cores

from benchmarks import (
    bounds,
    breakdown,
    cells,
    delivery,
    floor,
    footprint,
    latency,
    peer,
    pipeline,
    queries,
    scaling,
    script,
)
from support.network.hosts import Network, why_unavailable
from support.servers import PostgresqlServer, ServerCannotStart, ValkeyServer, free_port

_ROUNDS = 3
#: More rounds for hosts: their ratio is close to its bound, and the machine's speed changes from one minute to the next.
_HOST_ROUNDS = 5


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, rounds and seconds to measure."""

    cells: int = 12_800
    peer: int = 300
    script: int = 640
    growth: tuple[int, ...] = (1_000, 10_000, 100_000)
    watched: int = 200_000
    dropped: int = 40
    backlog: int = 3_000
    archive: int = 1_000_000
    archive_slides: int = 10_000
    messages: int = 10_000


QUICK = Sizes(
    cells=960, peer=40, script=128, growth=(500, 2_000), watched=5_000, dropped=8, backlog=500, archive=20_000,
    archive_slides=200, messages=300,
)  # fmt: skip


class Bench:
    """One run of the benchmarks."""

    def __init__(self, images: Path, scratch: Path, sizes: Sizes) -> None:
        """Find the images; nothing is measured yet."""
        self._scratch = scratch
        self._sizes = sizes
        self._cores = usable_cores()
        self._cells = cells.find_cells(images, scratch, at_least=sizes.cells)
        self._inbox = cells.make_inbox(scratch / "inbox", self._cells, sizes.cells)
        self._folders = 0

    def speed(self) -> dict[str, Any]:
        """Return images per second of floor and pipeline."""
        took: dict[str, list[float]] = {}
        with self._servers() as (database_urls, broker_url):
            ways: dict[str, Callable[[], float]] = {
                "floor_one": lambda: floor.images_per_second(self._warm(), processes=1),
                "pipeline_one": lambda: self._pipeline(workers=1, cores=1),
                "pipeline_one_worker": lambda: self._pipeline(workers=1),
                "pipeline_all": lambda: self._pipeline(workers=self._cores),
                "floor_all": lambda: floor.images_per_second(self._warm(), processes=self._cores),
                "pipeline_servers_all": lambda: self._pipeline(
                    workers=self._cores,
                    environment={"SMEARCOUNT_DATABASE_URL": next(database_urls), "SMEARCOUNT_BROKER_URL": broker_url},
                ),
            }
            for _ in range(_ROUNDS):
                for name, way in ways.items():
                    took.setdefault(name, []).append(way())
        return {name: statistics.median(rates) for name, rates in took.items()} | {"rounds": took}

    def hosts(self) -> dict[str, Any]:
        """Return images per second with one and with two hosts that classify, or why there are none."""
        why = why_unavailable()
        if why is not None:
            return {"unavailable": why}
        took: dict[str, list[float]] = {}
        cpu: dict[str, dict[str, float]] = {}
        with Network() as network:
            laboratory = scaling.Laboratory(network, self._inbox, self._folder("hosts"), helpers=2)
            with laboratory.serving():
                for _ in range(_HOST_ROUNDS):
                    for name, helpers in (("one_helper", 1), ("two_helpers", 2)):
                        run = laboratory.count(len(self._warm()), helpers=helpers)
                        took.setdefault(name, []).append(run.images_per_second)
                        busy = {kind: seconds / run.images * 1e6 for kind, seconds in run.cpu.items()}
                        cpu[name] = busy | {"cores in use": sum(run.cpu.values()) / run.seconds}
        rates = {name: statistics.median(rates) for name, rates in took.items()}
        return rates | {"rounds": took, "microseconds_of_cpu_per_image": cpu}

    def peer(self) -> dict[str, Any]:
        """Return the images per second of the peer: what people write first."""
        folder = self._folder("peer")
        broker = EmbeddedBroker(folder / "broker", folder / "broker.log")
        broker.start()
        try:
            # Celery's name for a socket, which is the embedded broker's only address.
            rate = peer.images_per_second(
                self._cells[: self._sizes.peer], broker_url=broker.url, scratch=folder, workers=self._cores,
                warm_up=8 * self._cores,
            )  # fmt: skip
        finally:
            broker.stop()
        return {"images_per_second": rate, "images": self._sizes.peer}

    def script(self) -> dict[str, Any]:
        """Return images per second of a script without queue and database."""
        inbox = cells.make_inbox(self._folder("script") / "images", self._cells, self._sizes.script)
        return {network: script.images_per_second(inbox, network) for network in script.SIDES}

    def breakdown(self) -> dict[str, Any]:
        """Return the time of each stage per image, in microseconds."""
        images = len(self._warm())
        stages = breakdown.microseconds_per_image(self._inbox, images, self._folder("breakdown"))
        self._warm()
        run = pipeline.count_inbox(
            self._inbox, self._folder("cpu"), images=images, workers=self._cores, looks_at_cpu=True
        )
        busy = {f"CPU: {kind}": seconds / images * 1e6 for kind, seconds in run.cpu.items()}
        return {"stages": stages, "processes_with_their_start": busy, "images": images}

    def growth(self) -> list[dict[str, Any]]:
        """Return the throughput on inboxes of several sizes, the smaller ones measured before and after the largest."""
        sizes = self._sizes.growth
        took: dict[int, list[float]] = {}
        for images in (*sizes, *sizes[-2::-1]):
            inbox = cells.make_inbox(self._folder("growth") / "inbox", self._cells, images)
            cells.warm(inbox)
            took.setdefault(images, []).extend(
                pipeline.count_inbox(
                    inbox, self._folder("growth"), images=images, workers=self._cores
                ).images_per_second
                for _ in range(_ROUNDS if images < sizes[-1] else 1)
            )
            shutil.rmtree(inbox)
        return [{"images": images, "images_per_second": statistics.median(rates)} for images, rates in took.items()]

    def worker(self) -> dict[str, Any]:
        """Return what a worker needs."""
        folder = self._folder("worker")
        broker = EmbeddedBroker(folder / "broker", folder / "broker.log")
        broker.start()
        self._warm()
        try:
            return asdict(footprint.worker_footprint(self._inbox, folder, broker.url, workers=self._cores))
        finally:
            broker.stop()

    def watcher(self) -> dict[str, Any]:
        """Return what a watcher needs."""
        folder = self._folder("watcher")
        inbox = cells.make_inbox(folder / "inbox", self._cells, self._sizes.watched)
        broker = EmbeddedBroker(folder / "broker", folder / "broker.log")
        broker.start()
        try:
            return asdict(footprint.watcher_footprint(inbox, folder, broker.url, files=self._sizes.watched))
        finally:
            broker.stop()
            shutil.rmtree(inbox)

    def latency(self) -> dict[str, Any]:
        """Return how long a cell waits for its result."""
        alone, busy = latency.latencies(
            self._cells, self._folder("latency"), files=self._sizes.dropped, backlog=self._sizes.backlog,
            workers=self._cores,
        )  # fmt: skip
        return {"alone": asdict(alone), "during_a_backlog": asdict(busy)}

    def queries(self) -> dict[str, Any]:
        """Return how long questions to a large archive take, in milliseconds."""
        measured: dict[str, Any] = {}
        folder = self._folder("queries")
        server = PostgresqlServer(is_durable=True)
        server.start()
        try:
            for name, url in (("SQLite", f"sqlite:///{folder / 'archive.db'}"), ("PostgreSQL", server.url())):
                with Database(url) as database:
                    migrate(database)
                    queries.fill(database, images=self._sizes.archive, slides=self._sizes.archive_slides)
                    answers = queries.answers(database, slides=self._sizes.archive_slides)
                measured[name] = {question: asdict(answer) for question, answer in answers.items()}
        finally:
            server.remove()
        return measured

    def delivery(self) -> dict[str, Any]:
        """Return how fast results leave, from either database."""
        measured: dict[str, Any] = {}
        server = PostgresqlServer(port=free_port(), is_durable=True)
        server.start()
        try:
            for name, url in (
                ("SQLite", f"sqlite:///{self._folder('delivery') / 'smearcount.db'}"),
                ("PostgreSQL", server.create("delivery")),
            ):
                folder = self._folder("delivery")
                measured[name] = asdict(delivery.delivered(url, folder, messages=self._sizes.messages))
        finally:
            server.remove()
        return measured

    def _pipeline(
        self, *, workers: int, cores: int | None = None, environment: Mapping[str, str] | None = None
    ) -> float:
        images = len(self._warm())
        return pipeline.count_inbox(
            self._inbox, self._folder("run"), images=images, workers=workers, cores=cores, environment=environment
        ).images_per_second

    def _warm(self) -> list[Path]:
        return cells.warm(self._inbox)

    def _folder(self, name: str) -> Path:
        self._folders += 1
        folder = self._scratch / f"{self._folders:03}-{name}"
        folder.mkdir()
        return folder

    @contextmanager
    def _servers(self) -> Iterator[tuple[Iterator[str], str]]:
        """Yield URLs of empty databases of a PostgreSQL, and of a Valkey, both over TCP."""
        server = PostgresqlServer(port=free_port(), is_durable=True)
        valkey = ValkeyServer(self._folder("valkey"), free_port())
        try:
            server.start()
            valkey.start()
            yield (server.create(f"bench_{number}") for number in itertools.count()), valkey.url
        finally:
            valkey.stop()
            server.remove()


#: All measurements, in their order.
PARTS = (
    "speed",
    "hosts",
    "peer",
    "script",
    "breakdown",
    "growth",
    "worker",
    "watcher",
    "latency",
    "queries",
    "delivery",
)


def main() -> int:
    """Measure, print the tables and write the figures."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure how fast smearcount is on this machine.")
    parser.add_argument("--images", type=Path, default=Path("../shared/pbc"), metavar="FOLDER",
                        help="real cell images to measure on; without them, drawn ones (default: %(default)s)")  # fmt: skip
    parser.add_argument("--only", action="append", choices=PARTS, help="measure this alone; may be given again")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it runs, not to quote")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), metavar="FILE", help="default: %(default)s")
    parser.add_argument("--table", type=Path, default=Path("bench.txt"), metavar="FILE", help="default: %(default)s")
    options = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    figures: dict[str, Any] = {"machine": _machine(), "quick": options.quick}
    try:
        with tempfile.TemporaryDirectory(prefix="smearcount-bench-") as scratch:
            bench = Bench(options.images.resolve(), Path(scratch), QUICK if options.quick else Sizes())
            for part in options.only or PARTS:
                say.print(f"measuring: {part} ...")
                start = time.monotonic()
                figures[part] = getattr(bench, part)()
                # Write after each part: an interruption loses only the part under way.
                options.json.write_text(json.dumps(figures, indent=2) + "\n")
                say.print(f"           {part} took {time.monotonic() - start:.0f} s")
    except (SmearcountError, pipeline.BenchmarkFailed, ServerCannotStart, OSError) as error:
        say.print(f"error: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        say.print(f"ended; what was measured until now is in {options.json}")
        return 130
    with options.table.open("w") as file:
        for console in (Console(width=None if sys.stdout.isatty() else 110), Console(file=file, width=110)):
            for table in _tables(figures):
                console.print(table)
    say.print(f"all figures: {options.json}; these tables: {options.table}")
    return 0


def _machine() -> dict[str, Any]:
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    return {
        "cores": usable_cores(),
        "processor": model,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def _tables(figures: dict[str, Any]) -> Iterator[Table]:
    machine = figures["machine"]
    bound_table = Table(
        "what", "wanted", "measured", "", title=f"Bounds, on {machine['cores']} cores of {machine['processor']}"
    )
    for verdict in bounds.verdicts(figures):
        measured = verdict.why_not or "not measured" if verdict.measured is None else f"{verdict.measured:.3g}"
        bound_table.add_row(
            verdict.what, verdict.wanted, measured, {True: "holds", False: "FAILS", None: ""}[verdict.holds]
        )
    yield bound_table
    yield from (_table(part, figures[part]) for part in PARTS if part in figures)


def _table(title: str, figures: object) -> Table:
    table = Table("figure", "value", title=title)
    for name, value in _flat(figures):
        table.add_row(name, f"{value:,.4g}" if isinstance(value, float) else str(value))
    return table


def _flat(figures: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(figures, dict):
        for key, value in figures.items():
            yield from _flat(value, f"{name}, {key}" if name else str(key))
    elif isinstance(figures, list) and figures and isinstance(figures[0], dict):
        for line in figures:
            yield from _flat(line, name)
    elif isinstance(figures, list):
        yield name, " ".join(f"{value:,.4g}" for value in figures)
    else:
        yield name, figures


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    raise SystemExit(main())
