"""From exports to counts with one command, on real cells."""

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from smearcount.db.engine.database import Database
from smearcount.db.queries.cells import cells
from smearcount.db.queries.counts import find_slide_id
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.slides import slide as slide_summary
from smearcount.db.review.records import Change
from smearcount.db.review.reviews import reclassify
from smearcount.differential.classes import ReviewClass
from smearcount.differential.schema import counts_schema

from support.reviewing import sign
from support.running import Smearcount


def truth_of(path: Path) -> dict[str, Counter[str]]:
    """Return the true classes per slide from a truth file."""
    truth: dict[str, Counter[str]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            truth.setdefault(row["slide"], Counter())[row["class"]] += 1
    return truth


def test_twenty_slides_of_real_cells_are_counted_right(smearcount: Smearcount, tmp_path: Path, pbc: Path) -> None:
    exports = tmp_path / "in"
    simulated = smearcount.call("simulate", exports, "--from", pbc / "val", "--slides", 20, "--cells", 150, "--seed", 1)
    assert simulated.returncode == 0, simulated.stderr

    smearcount.environment["SMEARCOUNT_WORKERS"] = "2"
    counted = smearcount.run("up", exports, "--once")
    assert counted.returncode == 0, counted.stderr
    assert "slide-020" in counted.stdout

    slides = smearcount.json("slides")
    assert len(slides) == 20
    assert {slide["status"] for slide in slides} == {"complete"}
    assert sum(slide["images"] for slide in slides) == 3000
    assert sum(slide["duplicates"] + slide["quarantined"] + slide["pending"] for slide in slides) == 0

    truth = truth_of(exports.with_name("in.truth.csv"))
    jsonschema.validate(smearcount.json("counts", "slide-007"), counts_schema())
    wrong = 0
    for slide, counts in smearcount.cells().items():
        unidentified = counts.pop("unidentified")
        assert sum(counts.values()) + unidentified == 150
        # Every cell beyond the true number of its class is wrong; unidentified cells go to a person.
        wrong += sum((Counter(counts) - truth[slide]).values())
    assert wrong / 3000 < 0.05

    again = smearcount.run("up", exports, "--once")
    assert again.returncode == 0, again.stderr
    assert smearcount.json("slides") == slides


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Smearcount]:
    """Two drawn slides of 40 cells, counted."""
    folder = tmp_path_factory.mktemp("drawn")
    command = Smearcount(folder / "data")
    assert command.call("simulate", folder / "in", "--slides", 2, "--cells", 40).returncode == 0
    assert command.run("up", folder / "in", "--once").returncode == 0
    yield command
    command.end()


def test_drawn_demo_slides_need_no_real_images(drawn: Smearcount) -> None:
    assert [slide["images"] for slide in drawn.json("slides")] == [40, 40]


def test_an_empty_inbox_is_said_and_done(smearcount: Smearcount, inbox: Path) -> None:
    done = smearcount.run("up", inbox, "--once")
    assert done.returncode == 0, done.stderr
    assert "nothing to count" in done.stderr


def test_results_as_table_json_and_csv_agree(drawn: Smearcount) -> None:
    result = drawn.json("counts", "slide-001")
    rows = list(csv.DictReader(drawn.call("counts", "slide-001", "--format", "csv").stdout.splitlines()))
    assert {row["class"]: int(row["count"]) for row in rows} == result["cells"]
    table = drawn.call("counts", "slide-001").stdout
    assert f"{result['wbc_counted']}" in table
    images = json.loads(drawn.call("images", "slide-001", "--format", "json").stdout)
    assert len(images) == 40


def test_after_a_review_up_prints_the_reviewed_counts_and_says_so(drawn: Smearcount) -> None:
    with Database(f"sqlite:///{drawn.data / 'smearcount.db'}") as database:
        cells = [line.id for line in image_lines(database, slide="slide-002") if line.identified][:3]
        reclassify(database, [Change(cell, ReviewClass.BASOPHIL, None) for cell in cells], reviewer="Ada")
    inbox = drawn.data.parent / "in"

    def printed(*options: str) -> list[list[str]]:
        done = drawn.run("up", inbox, "--once", *options)
        assert done.returncode == 0, done.stderr
        # The reasons to review come below, by the slides' names as well.
        words = [line.split() for line in done.stdout.splitlines() if line.strip().startswith("slide-")]
        return [line for line in words if line[2] in {"automatic", "reviewed"}]

    both = drawn.json("slides", "--calls", "both")
    assert [(line["slide"], line["calls"]) for line in both] == [
        ("slide-001", "automatic"), ("slide-002", "automatic"), ("slide-002", "reviewed"),
    ]  # fmt: skip
    basophils = [f"{line['percents']['basophil']:.1f}" for line in both]
    assert [(words[0], words[2], words[8]) for words in printed("--calls", "both")] == [
        (line["slide"], line["calls"], percent) for line, percent in zip(both, basophils, strict=True)
    ]
    assert [(words[2], words[8]) for words in printed()] == [("automatic", basophils[0]), ("reviewed", basophils[2])]
    assert basophils[1] != basophils[2]


def test_touched_and_renamed_exports_stay_the_slides_that_people_have_signed(
    smearcount: Smearcount, inbox: Path
) -> None:
    assert smearcount.call("simulate", inbox, "--slides", 2, "--cells", 20).returncode == 0
    assert smearcount.run("up", inbox, "--once").returncode == 0
    before = smearcount.json("counts", "slide-001")
    with Database(f"sqlite:///{smearcount.data / 'smearcount.db'}") as database:
        slide_id = find_slide_id(database, "slide-001")
        image = cells(database, slide_id).cells[0].id
        reclassify(database, [Change(image, ReviewClass.IG, None)], reviewer="Ada")
        sign(database, slide_id, reviewer="Ada")

        for path in inbox.rglob("*.*"):
            status = path.stat()
            os.utime(path, (status.st_atime, status.st_mtime + 3600))
        (inbox / "slide-001").rename(inbox / "S-1")
        again = smearcount.run("up", inbox, "--once")
        assert again.returncode == 0, again.stderr

        assert [one["slide"] for one in smearcount.json("slides")] == ["S-1", "slide-002"]
        found = slide_summary(database, slide_id)
        assert (found.name, found.signed_by, found.reviewed_cells) == ("S-1", "Ada", 1)
    for name in ("S-1", "slide-001"):
        after = smearcount.json("counts", name)
        assert (after["slide"], after["completed_at"], after["automatic"]["wbc_counted"]) == (
            "S-1", before["completed_at"], before["wbc_counted"],
        )  # fmt: skip
    assert smearcount.json("images", "--state", "superseded", "slide-002") == []

    said = smearcount.call("withdraw", "slide-002", "--by", "Ada", "--reason", "of another patient")
    assert (said.returncode, said.stdout) == (0, "")
    assert "slide slide-002 is withdrawn" in said.stderr
    assert [one["slide"] for one in smearcount.json("slides")] == ["S-1"]
    assert [one["slide"] for one in smearcount.json("slides", "--withdrawn")] == ["slide-002"]
    assert smearcount.json("counts", "slide-002")["slide"] == "slide-002"
    assert smearcount.call("withdraw", "slide-002", "--by", "Ada", "--reason", "again").returncode == 1
    assert smearcount.call("withdraw", "slide-002", "--by", "Ada", "--reason", "no", "--undo").returncode == 0
    assert len(smearcount.json("slides")) == 2


def test_an_archive_in_the_inbox_is_warned_of(smearcount: Smearcount, inbox: Path) -> None:
    assert smearcount.call("simulate", inbox / "archive" / "2026-11", "--slides", 2, "--cells", 10).returncode == 0

    counted = smearcount.run("up", inbox, "--once")

    warning = "slide archive: its images lie more than one folder deep"
    assert warning in " ".join(counted.stderr.split())
    assert any(warning in finding["details"] for finding in smearcount.json("doctor"))
