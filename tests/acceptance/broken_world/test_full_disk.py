"""The data folder's disk fills up while images come, and is cleared again: `up` goes on by itself."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from faults.backends import Disk
from support.exports import drop, exports
from support.network.hosts import Host, Network, why_unavailable
from support.running import Smearcount
from support.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))]


@pytest.fixture
def host() -> Iterator[Host]:
    with Network() as network:
        yield network.host("bench")


def kill_worker(up: subprocess.Popen[bytes]) -> None:
    for part in psutil.Process(up.pid).children():
        if "worker" in part.cmdline():
            part.kill()


def has_said(said: Path, what: str, times: int) -> bool:
    return said.read_text().count(what) >= times


def test_counting_goes_on_when_the_full_disk_is_cleared(
    smearcount: Smearcount, inbox: Path, tmp_path: Path, host: Host
) -> None:
    data = tmp_path / "small-disk"
    data.mkdir()
    disk = Disk(host, data, megabytes=24)
    drop(inbox, exports(slides=1, cells=10))
    said = tmp_path / "said"
    with said.open("wb") as output:
        up = subprocess.Popen(
            host.command([sys.executable, "-m", "smearcount.cli.main", "up", str(inbox), "--data", str(data)]),
            env=smearcount.all_environment(),
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(
            lambda: "10 of 10 images, 1 of 1 slides" in said.read_text(), what="what comes before the disk is full"
        )

        disk.fill()
        drop(inbox, {f"later/{path}": content for path, content in exports(slides=1, cells=20).items()})
        for times in range(1, 4):
            kill_worker(up)  # it may also die by itself, since it cannot write a line when it is started again
            wait_until(partial(has_said, said, "the worker died", times), what="the worker's death")
        assert up.poll() is None, said.read_text()

        disk.free()
        wait_until(lambda: "30 of 30 images, 2 of 2 slides" in said.read_text(), what="all images once there is room")
    finally:
        up.terminate()
        up.wait(PATIENCE)
    assert up.returncode == 130, said.read_text()
