"""Processes of our own: where their output goes, and how they end."""

import sys
import time
from pathlib import Path

import psutil

from smearcount.cli.local import processes

from support.waiting import PATIENCE, wait_until

_STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def test_output_is_added_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")

    process = processes.start([sys.executable, "-c", "import os; print('out'); os.write(2, b'err')"], log=log)

    assert process.wait(PATIENCE) == 0
    said = log.read_text()
    assert said.startswith("before\n")
    assert "out\n" in said
    assert "err" in said


def test_a_child_has_a_session_and_an_environment_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import os; print(os.getsid(0) == os.getpid(), os.environ.get('HERE'), os.environ.get('HOME'))"

    process = processes.start([sys.executable, "-c", code], log=log, environment={"HERE": "yes"})

    assert process.wait(PATIENCE) == 0
    assert log.read_text() == "True yes None\n"


def test_a_child_that_listens_ends_by_itself(tmp_path: Path) -> None:
    process = processes.start([sys.executable, "-c", "import time; time.sleep(600)"], log=tmp_path / "log")

    assert processes.stop(process, seconds=20)
    assert process.returncode == -15


def test_a_child_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = processes.start([sys.executable, "-c", _STUBBORN], log=log)
    wait_until(lambda: "up" in log.read_text(), what="the child to be up")
    started = time.monotonic()

    assert not processes.stop(process, seconds=0.2)

    assert process.returncode == -9
    assert time.monotonic() - started < PATIENCE


def test_stopping_what_has_ended_is_no_error(tmp_path: Path) -> None:
    process = processes.start([sys.executable, "-c", ""], log=tmp_path / "log")
    process.wait(PATIENCE)

    assert processes.stop(process, seconds=1)


def test_no_file_stays_open_in_the_parent(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()

    process = processes.start([sys.executable, "-c", ""], log=tmp_path / "log")
    process.wait(PATIENCE)

    assert psutil.Process().num_fds() == before
