"""Growth is found in spite of restarts, and nothing else is mistaken for it."""

import random
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from faults.soak.samples import WARM_UP_SECONDS, Sample, Steadiness, look, steadiness, write
from support.waiting import wait_until

_HOUR = 3600.0


def life(
    pid: int, begins: float, ends: float, *, megabytes: float, per_hour: float = 0, handles_per_hour: float = 0
) -> list[Sample]:
    """Return samples of a process, one every ten seconds, with some noise."""
    noise = random.Random(pid)
    found = []
    for at in range(int(begins), int(ends), 10):
        age = at - begins
        own = megabytes * min(1.0, 0.5 + age / WARM_UP_SECONDS) + per_hour * age / _HOUR + noise.uniform(-0.1, 0.1)
        handles = round(20 + handles_per_hour * age / _HOUR)
        found.append(Sample(at, "watcher", pid, age, own + 30, own, handles, is_zombie=False))
    return found


def judged(samples: list[Sample]) -> Steadiness:
    (found,) = steadiness(samples, seconds=_HOUR, zombie_seconds=30)
    return found


def test_restarts_and_processes_of_different_sizes_are_no_growth() -> None:
    samples = life(1, 0, 900, megabytes=40) + life(2, 900, 2500, megabytes=55) + life(3, 2500, _HOUR, megabytes=90)
    found = judged(samples)
    assert found.processes == 3
    assert found.growth_percent == pytest.approx(0, abs=0.3)
    assert found.handles_growth == 0


def test_growth_is_found_although_every_restart_takes_it_back() -> None:
    samples = [one for pid in range(6) for one in life(pid, pid * 600, pid * 600 + 600, megabytes=50, per_hour=30)]
    # 10 MB in a third of the run, for a process of 50 to 55 MB.
    assert judged(samples).growth_percent == pytest.approx(10 / 52 * 100, rel=0.15)


def test_handles_that_are_never_closed_are_found() -> None:
    assert judged(life(1, 0, _HOUR, megabytes=50, handles_per_hour=30)).handles_growth == pytest.approx(10, rel=0.05)


def test_a_process_with_the_id_of_an_earlier_one_is_another_process() -> None:
    samples = life(7, 0, 1000, megabytes=40) + life(7, 1000, 2000, megabytes=80)
    assert judged(samples).processes == 2
    assert judged(samples).growth_percent == pytest.approx(0, abs=0.3)


def test_what_lived_too_shortly_is_not_judged() -> None:
    assert judged(life(1, 0, WARM_UP_SECONDS, megabytes=50, per_hour=500)).growth_percent is None


def test_a_child_not_taken_notice_of_counts_when_it_stays() -> None:
    lasting = [Sample(at, "watcher", 9, 0, 0, 0, 0, is_zombie=True) for at in (100, 110, 120, 130)]
    passing = [Sample(at, "watcher", 8, 0, 0, 0, 0, is_zombie=True) for at in (100, 110)]
    assert judged(life(1, 0, 600, megabytes=50) + lasting + passing).zombies == 1


def test_real_processes_are_looked_at_with_their_children(tmp_path: Path) -> None:
    ends = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', '']); input()"
    with subprocess.Popen([sys.executable, "-c", ends], stdin=subprocess.PIPE) as process:
        try:
            children = psutil.Process(process.pid).children
            wait_until(lambda: [one.status() for one in children()] == [psutil.STATUS_ZOMBIE], what="a zombie")
            found = look(5.0, {"worker": [process.pid]}, lambda root, _: f"child of {root}")
        finally:
            process.kill()
    worker, child = found
    assert worker.resident > worker.own > 1
    assert worker.handles >= 3
    assert (child.role, child.is_zombie) == ("child of worker", True)
    write(found, tmp_path / "samples.csv")
    write(found, tmp_path / "samples.csv")
    lines = (tmp_path / "samples.csv").read_text().splitlines()
    assert lines[0] == "at,role,pid,age,resident,own,handles,is_zombie"
    assert len(lines) == 1 + 2 * len(found)


def test_files_of_tables_are_a_cache_and_no_open_files(tmp_path: Path) -> None:
    names = ["base/16384/2619", "base/16384/2619_fsm", "global/1260", "base/notes", "pg_wal/000000010000000000000001"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    opens = "import sys; held = [open(name) for name in sys.argv[1:]]; print(flush=True); input()"

    def handles(*files: str) -> int:
        command = [sys.executable, "-c", opens, *(str(tmp_path / name) for name in files)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                (found,) = look(5.0, {"postgresql": [process.pid]}, lambda root, _: root)
            finally:
                process.kill()
        return found.handles

    assert handles(*names) == handles() + 2
