"""After kill -9 of any part in the middle of 1,500 images, the counts are exactly those of an undisturbed run."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.exports import drop, exports
from support.running import Smearcount
from support.waiting import wait_until

SLIDES, CELLS = 10, 150


@pytest.fixture(scope="module")
def full_inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An inbox with 1,500 images."""
    inbox = tmp_path_factory.mktemp("faults") / "inbox"
    drop(inbox, exports(SLIDES, CELLS))
    return inbox


@pytest.fixture(scope="module")
def undisturbed(full_inbox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, int]]]:
    """The counts of a run in which nothing happened."""
    command = Smearcount(tmp_path_factory.mktemp("undisturbed") / "data")
    done = command.run("up", full_inbox, "--once")
    assert done.returncode == 0, done.stderr
    yield summary(command)
    command.end()


def summary(smearcount: Smearcount) -> dict[str, dict[str, int]]:
    """Return every number of every slide that the faults must not change."""
    numbers = ("images", "wbc_counted", "platelets", "unidentified", "quarantined", "duplicates", "pending")
    slides = smearcount.json("slides")
    assert len(slides) == SLIDES
    return {
        slide["slide"]: {name: slide[name] for name in numbers}
        | {name: round(percent * slide["wbc_counted"]) for name, percent in slide["percents"].items() if percent}
        for slide in slides
    }


def part_of(up: subprocess.Popen[str], part: str) -> psutil.Process:
    """Return the process of one part: its oldest, which for the worker is the one that holds the connection."""
    found = [
        process for process in psutil.Process(up.pid).children(recursive=False) if part in " ".join(process.cmdline())
    ]
    assert found, f"no process of {part}"
    return found[0]


@pytest.mark.parametrize(
    "part", ["smearcount.cli.main worker", "smearcount.cli.main watch", "valkey-server", "a classifying process", "up"]
)
def test_killing_a_part_changes_no_count(
    smearcount: Smearcount, full_inbox: Path, undisturbed: dict[str, dict[str, int]], part: str
) -> None:
    up = smearcount.start("up", full_inbox, "--workers", 2)
    wait_until(lambda: smearcount.images("done") > 100, what="the first images")
    if part == "up":
        # Kill everything at once, as if the machine lost power, and start it again.
        family = psutil.Process(up.pid).children(recursive=True)
        up.send_signal(signal.SIGKILL)
        for process in family:
            if process.is_running():
                process.kill()
        up.wait()
        up = smearcount.start("up", full_inbox, "--workers", 2)
    elif part == "a classifying process":
        children = part_of(up, "smearcount.cli.main worker").children(recursive=True)
        assert children
        children[0].kill()
    else:
        part_of(up, part).kill()
    before = smearcount.images("done")
    assert before < SLIDES * CELLS, "the fault came too late to disturb anything"
    wait_until(lambda: smearcount.is_counted(SLIDES * CELLS), what="all images")
    assert summary(smearcount) == undisturbed
    assert smearcount.json("images", "--state", "quarantined") == []
