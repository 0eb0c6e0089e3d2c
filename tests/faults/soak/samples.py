"""Samples of processes while they run (memory, open files, zombies), and whether any of it grows."""

import csv
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import fmean

import psutil

#: How long a process takes to fill its caches, in seconds; samples before that say nothing about growth. A connection's
#: process in PostgreSQL takes longest: it prepares the frequent statements first.
WARM_UP_SECONDS = 300.0
#: Fewest samples by which a process is judged.
_FEWEST = 5
_MEGABYTE = 1e6
#: A table, an index or the like in the folder of a PostgreSQL server.
_TABLE = re.compile(r"/(base/\d+|global)/\d+[^/]*$")


@dataclass(frozen=True)
class Sample:
    """One process at one moment."""

    #: Seconds since the run began.
    at: float
    role: str
    pid: int
    #: Seconds since the process began.
    age: float
    #: Resident memory in MB, shared with other processes or not.
    resident: float
    #: The part that is neither a file nor a server's shared buffers, in MB: only this can grow without end.
    own: float
    #: Open files other than tables, of which PostgreSQL keeps up to a thousand open in each process as a cache.
    handles: int
    #: Whether it has ended and its parent has not reaped it yet.
    is_zombie: bool


@dataclass(frozen=True)
class Steadiness:
    """Whether memory and handles of the processes of one role grow."""

    role: str
    processes: int
    resident: float
    own: float
    handles: float
    #: What a third of the run adds to a process's own memory, in percent of it; None: no process lived long enough.
    growth_percent: float | None
    #: How many handles a third of the run adds to a process.
    handles_growth: float | None
    #: Processes that stayed zombies for longer than a frozen parent needs to come back.
    zombies: int


def look(at: float, roots: Mapping[str, Sequence[int]], role_of: Callable[[str, psutil.Process], str]) -> list[Sample]:
    """Return a sample of each process.

    Args:
        at: seconds since the run began.
        roots: ids of the processes that were started, by role.
        role_of: tells the role of their descendants from the role of the root.
    """
    return [one for role, pids in roots.items() for pid in pids for one in _family(at, role, pid, role_of)]


def _family(at: float, role: str, pid: int, role_of: Callable[[str, psutil.Process], str]) -> list[Sample]:
    try:
        root = psutil.Process(pid)
        children = root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []  # being restarted
    samples = []
    for process in (root, *children):
        try:
            samples.append(_sample(at, role if process is root else role_of(role, process), process))
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError, KeyError):
            continue  # ended meanwhile
    return samples


def _sample(at: float, role: str, process: psutil.Process) -> Sample:
    if process.status() == psutil.STATUS_ZOMBIE:
        return Sample(at, role, process.pid, 0.0, 0.0, 0.0, 0, is_zombie=True)
    status = Path(f"/proc/{process.pid}/status").read_text()
    held = {
        line.partition(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith(("VmR", "Rss"))
    }
    resident, own = (held[name] * 1024 / _MEGABYTE for name in ("VmRSS", "RssAnon"))
    age = time.time() - process.create_time()
    return Sample(at, role, process.pid, age, resident, own, _handles(process.pid), is_zombie=False)


def _handles(pid: int) -> int:
    return sum(_TABLE.search(name) is None for name in _open_files(Path(f"/proc/{pid}/fd")))


def _open_files(folder: Path) -> Iterator[str]:
    for handle in folder.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(handle.readlink())


def write(samples: Iterable[Sample], file: Path) -> None:
    """Add samples to a table; the first call writes its heading."""
    is_new = not file.exists()
    with file.open("a", newline="") as table:
        writer = csv.writer(table)
        if is_new:
            writer.writerow(field.name for field in fields(Sample))
        writer.writerows(astuple(sample) for sample in samples)


def steadiness(
    samples: Sequence[Sample],
    *,
    seconds: float,
    zombie_seconds: float,
    warm_up_seconds: Callable[[str], float] = lambda _: WARM_UP_SECONDS,
) -> list[Steadiness]:
    """Judge each role over a run of so many seconds; a zombie counts when it stays one for `zombie_seconds`.

    We fit lines of one common slope through the samples of all processes of a role, each line with its own intercept. So a
    restarted process, which is small again, cannot hide growth, and two processes of different sizes cannot fake it.
    """
    of_role: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_role[sample.role].append(sample)
    return [
        _of_role(role, held, seconds / 3, zombie_seconds, warm_up_seconds(role))
        for role, held in sorted(of_role.items())
    ]


def _of_role(
    role: str, samples: Sequence[Sample], third: float, zombie_seconds: float, warm_up_seconds: float
) -> Steadiness:
    living = [sample for sample in samples if not sample.is_zombie]
    lives = _lives(living)
    warm = [[sample for sample in life if sample.age >= warm_up_seconds] for life in lives]
    warm = [life for life in warm if len(life) >= _FEWEST]
    own, handles = (_slope(warm, value) for value in (lambda one: one.own, lambda one: float(one.handles)))
    mean = fmean(sample.own for sample in living) if living else 0.0
    return Steadiness(
        role=role,
        processes=len(lives),
        resident=fmean(sample.resident for sample in living) if living else 0.0,
        own=mean,
        handles=fmean(sample.handles for sample in living) if living else 0.0,
        growth_percent=None if own is None else own * third / mean * 100,
        handles_growth=None if handles is None else handles * third,
        zombies=_lasting_zombies(samples, zombie_seconds),
    )


def _lives(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Return the samples of each process; a reused id is told by its younger age."""
    lives: dict[int, list[list[Sample]]] = defaultdict(list)
    for sample in samples:
        of_pid = lives[sample.pid]
        if not of_pid or sample.age < of_pid[-1][-1].age:
            of_pid.append([])
        of_pid[-1].append(sample)
    return [life for of_pid in lives.values() for life in of_pid]


def _slope(lives: Sequence[Sequence[Sample]], value: Callable[[Sample], float]) -> float | None:
    """Return the common slope per second of lines through the samples of several processes; None without any."""
    above = below = 0.0
    for life in lives:
        age, mean = fmean(sample.age for sample in life), fmean(map(value, life))
        above += sum((sample.age - age) * (value(sample) - mean) for sample in life)
        below += sum((sample.age - age) ** 2 for sample in life)
    return above / below if below else None


def _lasting_zombies(samples: Iterable[Sample], zombie_seconds: float) -> int:
    seen: dict[int, list[float]] = defaultdict(list)
    for sample in samples:
        if sample.is_zombie:
            seen[sample.pid].append(sample.at)
    return sum(moments[-1] - moments[0] >= zombie_seconds for moments in seen.values())
