"""The floor: read, decode and classify in a plain loop, without queue, database or checks.

No program can count cells faster with this network on these cores; the difference is what smearcount costs.
"""

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np

from smearcount.models.inference.classifier import load_classifier
from smearcount.models.preprocessing import decode_cell
from smearcount.models.settings import ModelSettings

BATCH = 64

_barrier: Barrier | None = None


def images_per_second(cells: Sequence[Path], *, processes: int) -> float:
    """Return the images per second of all processes together, from the common start to the end of the last one."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, initializer=_wait_for_all, initargs=(barrier,)) as pool:
        spans = list(pool.map(_classify_all, [cells[number::processes] for number in range(processes)]))
    return len(cells) / (max(end for _, end in spans) - min(start for start, _ in spans))


def _wait_for_all(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603 (the one way to hand a barrier to a pool's processes)
    _barrier = barrier


def _classify_all(cells: Sequence[Path]) -> tuple[float, float]:
    classifier = load_classifier(ModelSettings(), threads=1)
    assert _barrier is not None
    _barrier.wait()
    start = time.monotonic()
    for first in range(0, len(cells), BATCH):
        pixels = [decode_cell(path.read_bytes()) for path in cells[first : first + BATCH]]
        classifier.classify(np.stack(pixels))
    return start, time.monotonic()
