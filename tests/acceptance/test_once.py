"""From exports to counts with one command, on real cells."""

import csv
import json
from collections import Counter
from pathlib import Path

import jsonschema

from smearcount.differential.schema import counts_schema

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
    simulated = smearcount.run("simulate", exports, "--from", pbc / "val", "--slides", 20, "--cells", 150, "--seed", 1)
    assert simulated.returncode == 0, simulated.stderr

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
        # Every cell in a class beyond the true number is a wrong one; unidentified cells are for a person to look at.
        wrong += sum((Counter(counts) - truth[slide]).values())
    assert wrong / 3000 < 0.05

    again = smearcount.run("up", exports, "--once")
    assert again.returncode == 0, again.stderr
    assert smearcount.json("slides") == slides


def test_drawn_demo_slides_need_no_real_images(smearcount: Smearcount, tmp_path: Path) -> None:
    exports = tmp_path / "in"
    assert smearcount.run("simulate", exports, "--slides", 2, "--cells", 40).returncode == 0
    assert smearcount.run("up", exports, "--once").returncode == 0
    slides = smearcount.json("slides")
    assert [slide["images"] for slide in slides] == [40, 40]


def test_an_empty_inbox_is_said_and_done(smearcount: Smearcount, inbox: Path) -> None:
    done = smearcount.run("up", inbox, "--once")
    assert done.returncode == 0, done.stderr
    assert "nothing to count" in done.stderr


def test_results_as_table_json_and_csv_agree(smearcount: Smearcount, tmp_path: Path) -> None:
    exports = tmp_path / "in"
    smearcount.run("simulate", exports, "--slides", 1, "--cells", 30)
    smearcount.run("up", exports, "--once")
    result = smearcount.json("counts", "slide-001")
    rows = list(csv.DictReader(smearcount.run("counts", "slide-001", "--format", "csv").stdout.splitlines()))
    assert {row["class"]: int(row["count"]) for row in rows} == result["cells"]
    table = smearcount.run("counts", "slide-001").stdout
    assert f"{result['wbc_counted']}" in table
    images = json.loads(smearcount.run("images", "slide-001", "--format", "json").stdout)
    assert len(images) == 30
