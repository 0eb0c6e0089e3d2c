"""A child process that decodes and may crash, hang or take too much memory, and its parent, which watches it."""

import multiprocessing
import os
import random
import re
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from smearcount.models.errors import ImageRefused

from fuzzing.mutations import mutated
from fuzzing.originals import originals
from support.memory import peak_bytes

#: Limits for one image.
SECONDS = 5.0
MEGABYTES = 512

#: The kernel refuses the child more memory than this, to protect the machine.
_MOST_BYTES = 8 * 1024**3

#: Files that led to a new message are mutated further: at most so many of them, in this share of the images.
_MOST_SPOILED = 400
_SHARE_SPOILED_FURTHER = 0.3
_NUMBERS = re.compile(r"\d+")

#: How often the child hands results over.
_REPORT_IMAGES = 50

Decode = Callable[[bytes], object]


@dataclass(frozen=True)
class Finding:
    """An image that broke a limit."""

    number: int
    what: str
    data: bytes


@dataclass
class Outcome:
    """The outcome of the images."""

    images: int = 0
    #: Number of images decoded, and refused by the refusal's code.
    ends: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    #: Different results, with their messages.
    novelties: int = 0
    slowest_seconds: float = 0.0
    peak_megabytes: float = 0.0


@dataclass(frozen=True)
class _Task:
    decode: Decode
    first: int
    images: int
    seed: int
    megabytes: float
    #: The file that holds the image being decoded.
    current: Path


@dataclass(frozen=True)
class _Report:
    images: int
    ends: Counter[str]
    findings: tuple[Finding, ...]
    novelties: int
    slowest_seconds: float
    peak_megabytes: float


def fuzz(
    decode: Decode, *, images: int, seed: int, scratch: Path, seconds: float = SECONDS, megabytes: float = MEGABYTES
) -> Iterator[Outcome]:
    """Decode so many mutated images in a child, and yield the outcome so far, from time to time and at the end.

    A child that dies or hangs is replaced, and the image at fault is kept; the next child continues after it. The same seed
    gives the same images as long as no child is replaced.

    Args:
        decode: a function that a new process can import; it returns anything, or raises ImageRefused.
        images: how many.
        seed: of the random numbers.
        scratch: a folder for the image that is being decoded now.
        seconds: an image that takes longer counts as hanging.
        megabytes: bound of the child's peak memory.
    """
    context = multiprocessing.get_context("spawn")
    current = scratch / "current"
    outcome = Outcome()
    while outcome.images < images:
        receiving, sending = context.Pipe(duplex=False)
        begun = context.Value("d", 0.0)
        number = context.Value("q", outcome.images - 1)
        task = _Task(decode, outcome.images, images, seed, megabytes, current)
        child = context.Process(target=_decode_all, args=(task, sending, begun, number))
        child.start()
        sending.close()
        ends = ""
        while not ends:
            with suppress(EOFError):
                while receiving.poll(0.1):
                    _add(outcome, receiving.recv())
                    yield outcome
            if not child.is_alive():
                ends = f"dies with code {child.exitcode}"
            elif 0 < begun.value < time.monotonic() - seconds:
                child.kill()
                ends = f"hangs for over {seconds:g} s"
        child.join()
        receiving.close()
        if child.exitcode != 0:
            if number.value < outcome.images:
                raise RuntimeError(f"the child {ends} before it decoded an image; its decoder cannot be imported there")
            # The results that the child had not yet reported are lost; count its images as done.
            outcome.images = number.value + 1
            outcome.findings.append(Finding(number.value, ends, current.read_bytes()))
    yield outcome


def _add(outcome: Outcome, report: _Report) -> None:
    outcome.images += report.images
    outcome.ends += report.ends
    outcome.findings += report.findings
    outcome.novelties += report.novelties
    outcome.slowest_seconds = max(outcome.slowest_seconds, report.slowest_seconds)
    outcome.peak_megabytes = max(outcome.peak_megabytes, report.peak_megabytes)


def _decode_all(
    task: _Task,
    results: Connection,
    begun: "multiprocessing.sharedctypes.Synchronized[float]",
    number: "multiprocessing.sharedctypes.Synchronized[int]",
) -> None:
    """Run as the child."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The decoders' libraries warn about nearly every image.
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    whole = originals()
    spoiled: list[bytes] = []
    known: set[str] = set()
    for start in range(task.first, task.images, _REPORT_IMAGES):
        ends: Counter[str] = Counter()
        findings: list[Finding] = []
        before, slowest = len(known), 0.0
        count = min(_REPORT_IMAGES, task.images - start)
        for which in range(start, start + count):
            rng = random.Random(f"{task.seed} {which}")
            data = mutated(rng, spoiled if spoiled and rng.random() < _SHARE_SPOILED_FURTHER else whole)
            task.current.write_bytes(data)
            number.value = which
            begun.value = time.monotonic()
            end, detail = _end(task.decode, data)
            slowest = max(slowest, time.monotonic() - begun.value)
            begun.value = 0.0
            ends[end] += 1
            if end == "raises":
                findings.append(Finding(which, f"raises {detail}", data))
            if _peak_megabytes() > task.megabytes:
                findings.append(Finding(which, f"takes over {task.megabytes:g} MB", data))
                results.send(_Report(which + 1 - start, ends, tuple(findings), 0, slowest, _peak_megabytes()))
                return
            # The decoders report no coverage; a new message is the best sign of a new path through them.
            way = f"{end} {_NUMBERS.sub('', detail)}"
            if way not in known and len(spoiled) < _MOST_SPOILED:
                known.add(way)
                spoiled.append(data)
        results.send(_Report(count, ends, tuple(findings), len(known) - before, slowest, _peak_megabytes()))


def _end(decode: Decode, data: bytes) -> tuple[str, str]:
    try:
        decode(data)
    except ImageRefused as refused:
        return refused.code, str(refused)
    except BaseException as error:  # noqa: BLE001 (that there is any other is what is looked for)
        return "raises", f"{type(error).__name__}: {error}"
    return "decoded", ""


def _peak_megabytes() -> float:
    return peak_bytes() / 1024**2
