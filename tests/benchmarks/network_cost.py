"""Images per second of the shipped networks, the network that they replaced, and two well-known ones.

    python tests/benchmarks/network_cost.py [--json FILE]

All run in LiteRT on the same cores, in turns (A B C, A B C, ...), so that a busy minute of the machine hits all of them.
Random weights cost the same as trained ones, so nothing is downloaded. The timings include copying the pixels into the tensor
but not decoding images. Each timing starts its own processes, which use the cores in one of two ways: one process with a
thread per core, or, like the workers, one process per core with one thread each.
"""

# ruff: noqa: PLC0415  (TensorFlow takes seconds to load, and the processes that are timed must not load it)

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.progress import track
from rich.table import Table

from smearcount.differential.classes import CellClass
from smearcount.differential.errors import SmearcountError
from smearcount.models.card import load_card, verified_weights
from smearcount.models.inference.keras_runtime import require_tensorflow
from smearcount.models.inference.stderr_filter import filtered_stderr
from smearcount.models.settings import SHIPPED_MODEL
from smearcount.models.training.conversion import litert_bytes
from smearcount.models.training.seed_network import build_seed_network

TENSORS = (1, 4, 16, 32)
#: The network that the others are compared with.
YARDSTICK = "EfficientNet-B0"
#: Side of the images for the well-known networks in pixels, equal to that of the shipped ones.
SIDE = 128
_WARM_UP_RUNS = 2
_START_TIMEOUT = 120.0


@dataclass(frozen=True)
class Way:
    """One way to use all cores."""

    name: str
    processes: int
    threads: int


@dataclass
class Cost:
    """One network: its .tflite files by images per tensor, and what was measured."""

    network: str
    parameters: int
    megabytes: float
    files: dict[int, Path]
    #: Images per second of each round, by way and images per tensor.
    rounds: dict[str, dict[int, list[float]]] = field(default_factory=dict)

    def rate(self, way: str, images: int) -> float:
        """Median images per second."""
        return statistics.median(self.rounds[way][images])

    def best(self) -> tuple[float, str, int]:
        """The highest median images per second, and the way and the images per tensor that gave it."""
        return max((self.rate(way, images), way, images) for way, of_way in self.rounds.items() for images in of_way)


def ways(cores: int) -> list[Way]:
    """Return the ways to take `cores` cores; one core can be taken in one way only."""
    per_core = Way(f"{cores} × 1 thread", cores, 1)
    return [per_core] if cores == 1 else [Way(f"1 × {cores} threads", 1, cores), per_core]


def shipped_networks() -> Iterator[Cost]:
    """Yield the LiteRT networks among the cards beside the shipped one; LiteRT sets their tensors to any number of images."""
    for path in sorted(SHIPPED_MODEL.parent.glob("*.json")):
        card = load_card(path)
        if card.runtime != "litert":
            continue
        weights = verified_weights(path)
        file = path.with_name(card.file)
        yield Cost(
            f"{card.name} {card.version} {card.precision}",
            card.parameters,
            len(weights) / 1e6,
            dict.fromkeys(TENSORS, file),
        )


def networks_to_compare(folder: Path) -> Iterator[Cost]:
    """Build the other networks, put them into `folder` as .tflite files of each tensor size and yield them.

    Raises:
        RuntimeMissing: TensorFlow is not installed.
    """
    require_tensorflow()
    import keras

    eight: dict[str, Any] = {
        "weights": None,
        "classes": len(CellClass),
        "input_shape": (SIDE, SIDE, 3),
        "classifier_activation": None,
    }
    builders: dict[str, Callable[[], keras.Model]] = {
        "seed": build_seed_network,
        "MobileNetV3-Small": lambda: keras.applications.MobileNetV3Small(**eight),
        YARDSTICK: lambda: keras.applications.EfficientNetB0(**eight),
    }
    for name, build in builders.items():
        network = build()
        files = {images: folder / f"{name}-{images}.tflite" for images in TENSORS}
        for images, file in files.items():
            file.write_bytes(litert_bytes(network, (images, *network.input_shape[1:])))
        yield Cost(name, network.count_params(), files[1].stat().st_size / 1e6, files)


def measure(costs: Sequence[Cost], *, rounds: int, seconds: float) -> None:
    """Add `rounds` timings of `seconds` each for every network, way and tensor size, the networks in turns."""
    turns = [
        (way, images, cost)
        for _ in range(rounds)
        for way in ways(os.cpu_count() or 1)
        for images in TENSORS
        for cost in costs
    ]
    for way, images, cost in track(turns, "timing", console=Console(stderr=True), disable=not sys.stderr.isatty()):
        rate = images_per_second(cost.files[images], images, way, seconds)
        cost.rounds.setdefault(way.name, {}).setdefault(images, []).append(round(rate, 1))


def images_per_second(file: Path, images: int, way: Way, seconds: float) -> float:
    """Return the images per second of all processes together, from the moment when all of them are ready."""
    # Spawn: a forked process would inherit locks of TensorFlow's threads.
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(way.processes)
    with ProcessPoolExecutor(way.processes, context, _take_barrier, (barrier,)) as pool:
        timings = [pool.submit(_time_in_process, file, images, way.threads, seconds) for _ in range(way.processes)]
        return sum(timing.result() for timing in timings)


#: The barrier at which a timed process waits for the others.
_barrier: Barrier


def _take_barrier(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603  (a barrier reaches a process only while it starts)
    _barrier = barrier


def _time_in_process(file: Path, images: int, threads: int, seconds: float) -> float:
    with filtered_stderr():
        interpreter = Interpreter(model_content=file.read_bytes(), num_threads=threads)
        given = interpreter.get_input_details()[0]
        shape = (images, *given["shape"][1:])
        interpreter.resize_tensor_input(given["index"], shape)
        interpreter.allocate_tensors()
    pixels = np.random.default_rng(1).integers(0, 127, shape).astype(given["dtype"])
    for _ in range(_WARM_UP_RUNS):
        interpreter.set_tensor(given["index"], pixels)
        interpreter.invoke()
    _barrier.wait(_START_TIMEOUT)
    started = time.perf_counter()
    runs, elapsed = 0, 0.0
    while elapsed < seconds:
        interpreter.set_tensor(given["index"], pixels)
        interpreter.invoke()
        runs += 1
        elapsed = time.perf_counter() - started
    return runs * images / elapsed


def tables(costs: Sequence[Cost]) -> Iterator[Table]:
    """Yield a table of each network at its best, and one per way at equal tensor sizes."""
    (yardstick,) = (cost for cost in costs if cost.network == YARDSTICK)
    best = _table("Each network at its best", "parameters", "MB", "images/s", f"to {YARDSTICK}", "way", "tensor")
    for cost in costs:
        rate, way, images = cost.best()
        ratio = f"{rate / yardstick.best()[0]:.2f}"
        best.add_row(
            cost.network, f"{cost.parameters:,}", f"{cost.megabytes:.2f}", f"{rate:,.0f}", ratio, way, str(images)
        )
    yield best
    for way in yardstick.rounds:
        headings = [f"{images} images" if images > 1 else "1 image" for images in TENSORS]
        equal = _table(f"Images/s at equal tensor sizes, {way} (and to {YARDSTICK})", *headings)
        for cost in costs:
            rates = [(cost.rate(way, images), yardstick.rate(way, images)) for images in TENSORS]
            equal.add_row(cost.network, *(f"{rate:,.0f} ({rate / other:.2f})" for rate, other in rates))
        yield equal


def _table(title: str, *headings: str) -> Table:
    table = Table("network", title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def as_json(costs: Sequence[Cost]) -> str:
    """Return all measurements and the machine."""
    networks = []
    for cost in costs:
        rate, way, images = cost.best()
        described = asdict(cost) | {"best": {"images_per_second": rate, "way": way, "images_per_tensor": images}}
        del described["files"]
        networks.append(described)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "system": platform.platform()}
    return json.dumps({"machine": machine, "networks": networks}, indent=2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare what networks cost in LiteRT on all cores of this machine."""
    parser = argparse.ArgumentParser(prog="network_cost.py", description=main.__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every timing to this file")
    parser.add_argument("--rounds", type=int, default=3, help="timings of each kind; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one timing; default: %(default)s")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        with tempfile.TemporaryDirectory() as folder:
            # Build the others first: without TensorFlow there is nothing to compare with.
            others = list(networks_to_compare(Path(folder)))
            costs = [*shipped_networks(), *others]
            measure(costs, rounds=options.rounds, seconds=options.seconds)
    except (SmearcountError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    for table in tables(costs):
        console.print(table)
    if options.json:
        options.json.write_text(as_json(costs) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
