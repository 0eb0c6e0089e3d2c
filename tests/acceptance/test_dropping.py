"""The counts do not depend on how the files arrive."""

import os
from pathlib import Path

import pytest

from support.exports import cell_bytes, drop, exports
from support.running import Smearcount
from support.waiting import wait_until

FILES = exports(slides=3, cells=40)


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """The counts of the same files, dropped at once."""
    folder = tmp_path_factory.mktemp("at-once")
    drop(folder / "inbox", FILES)
    command = Smearcount(folder / "data")
    done = command.run("up", folder / "inbox", "--once")
    assert done.returncode == 0, done.stderr
    return command.cells()


def drop_slowly(path: Path, data: bytes) -> None:
    """Write a file in pieces, each on disk before the next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, len(data), 4000):
            file.write(data[start : start + 4000])
            file.flush()
            os.fsync(file.fileno())


def test_dropped_slowly_in_bursts_by_rename_and_over_each_other(
    smearcount: Smearcount, inbox: Path, tmp_path: Path, at_once: dict[str, dict[str, int]]
) -> None:
    smearcount.start("up", inbox)
    wait_until(smearcount.is_watching, what="the start")
    elsewhere = tmp_path / "elsewhere"

    slide = {path: data for path, data in FILES.items() if path.startswith("S00")}
    for path, data in slide.items():
        drop_slowly(inbox / path, data)

    # A folder renamed into place sends no event for the files in it.
    drop(elsewhere, {path: data for path, data in FILES.items() if path.startswith("S01")})
    (elsewhere / "S01").rename(inbox / "S01")

    # Drop other cells under the same names first and, when those are counted, the right ones over them.
    slide = {path: data for path, data in FILES.items() if path.startswith("S02")}
    drop(inbox, {path: cell_bytes(90_000 + number) for number, path in enumerate(slide)})
    wait_until(lambda: smearcount.is_counted(len(FILES)), what="the first versions")
    for path, data in slide.items():
        partial = (inbox / path).with_suffix(".part")
        partial.write_bytes(data)
        partial.replace(inbox / path)
    wait_until(lambda: smearcount.cells() == at_once and smearcount.is_counted(len(FILES)), what="the same counts")
    superseded = smearcount.json("images", "S02", "--state", "superseded")
    assert len(superseded) == len(slide)


def test_dropped_while_nothing_runs(smearcount: Smearcount, inbox: Path, at_once: dict[str, dict[str, int]]) -> None:
    paths = sorted(FILES)
    drop(inbox, {path: FILES[path] for path in paths[:50]})
    assert smearcount.run("up", inbox, "--once").returncode == 0
    drop(inbox, {path: FILES[path] for path in paths[50:]})
    assert smearcount.run("up", inbox, "--once").returncode == 0
    assert smearcount.cells() == at_once


def test_found_by_polling_alone(smearcount: Smearcount, inbox: Path, at_once: dict[str, dict[str, int]]) -> None:
    smearcount.environment["SMEARCOUNT_POLL_SECONDS"] = "0.5"
    smearcount.start("up", inbox, "--poll")
    wait_until(smearcount.is_watching, what="the start")
    drop(inbox, FILES)
    wait_until(lambda: smearcount.is_counted(len(FILES)), what="all images")
    assert smearcount.cells() == at_once
