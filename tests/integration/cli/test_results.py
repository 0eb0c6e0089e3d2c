"""`counts`, `slides` and `images` after people have reviewed and signed a slide: their result is the one that is shown."""

import csv
import io
from typing import Any

import jsonschema
import pytest

from smearcount.db.engine.database import Database
from smearcount.db.review.sign_off import comment
from smearcount.differential.classes import CellClass
from smearcount.differential.schema import counts_schema

from support.reviewing import IG, UNIDENTIFIED, Bench, sign
from support.running import Smearcount

AUTOMATIC = {"neutrophil": 4, "lymphocyte": 2, "ig": 0}
REVIEWED = {"neutrophil": 2, "lymphocyte": 2, "ig": 2}


@pytest.fixture
def bench(database: Database) -> Bench:
    """A slide that a person has reviewed, commented on and signed, and one of which nobody has called a cell.

    The model called 4 neutrophils and 2 lymphocytes and was not sure of 2 cells. Ada called one of these and a neutrophil IG, and
    took another neutrophil out of the count.
    """
    bench = Bench(database)
    ids = bench.fill("S", [*[CellClass.NEUTROPHIL] * 4, *[CellClass.LYMPHOCYTE] * 2, None, None])
    bench.fill("T", [CellClass.NEUTROPHIL, None])
    bench.complete()
    bench.call(IG, ids[0], ids[6], reason="indented nucleus")
    bench.call(UNIDENTIFIED, ids[1], reason="smudge")
    comment(database, bench.slide_id("S"), reviewer="Ben", text="=pale|stain")
    sign(database, bench.slide_id("S"), reviewer="Ada", comment="seen twice")
    return bench


@pytest.fixture
def command(smearcount: Smearcount, bench: Bench, database_url: str) -> Smearcount:
    """The command on that database."""
    del bench
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = database_url
    return smearcount


def table(command: Smearcount, *arguments: object) -> list[dict[str, str]]:
    done = command.call(*arguments, "--format", "csv")
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def some(cells: dict[str, int]) -> dict[str, int]:
    return {name: cells[name] for name in AUTOMATIC}


def test_the_json_of_counts_is_the_reviewed_result_and_holds_both(command: Smearcount) -> None:
    counts = command.json("counts", "S")

    jsonschema.validate(counts, counts_schema())
    assert (counts["calls"], counts["reviewed_cells"], counts["signed_by"]) == ("reviewed", 3, "Ada")
    assert some(counts["cells"]) == some(counts["reviewed"]["cells"]) == REVIEWED
    assert (counts["wbc_counted"], counts["unidentified"]) == (6, 2)
    assert some(counts["automatic"]["cells"]) == AUTOMATIC
    assert (counts["automatic"]["calls"], counts["automatic"]["unidentified"]) == ("automatic", 2)
    assert {row["class"]: row["count"] for row in counts["differential"]}["ig"] == 2


def test_counts_tells_what_people_wrote_and_excluded_in_every_format(command: Smearcount) -> None:
    counts = command.json("counts", "S")
    assert [(one["kind"], one["reviewer"], one["text"]) for one in counts["remarks"]] == [
        ("review", "Ada", "indented nucleus"),
        ("review", "Ada", "smudge"),
        ("comment", "Ben", "=pale|stain"),
        ("sign-off", "Ada", "seen twice"),
    ]
    (excluded,) = counts["excluded"]
    assert (excluded["automatic"], excluded["reviewed"], excluded["reason"]) == (
        "neutrophil", "unidentified", "smudge",
    )  # fmt: skip

    row = table(command, "counts", "S")[0]
    assert (row["reviewed_cells"], row["excluded_cells"]) == ("3", "1")
    printed = " ".join(command.call("counts", "S").stdout.split())
    for text in ("indented nucleus", "smudge", "Ben, comment: =pale|stain", "Ada, sign-off: seen twice"):
        assert text in row["remarks"]
        assert text in printed
    assert f"neutrophil by the model, called unidentified by a person: cell {excluded['cell']}" in printed
    assert "Automatic calls, 3 cells called by a person" in printed
    assert "Signed by Ada" in printed


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ((), [("reviewed", REVIEWED)]),
        (("--calls", "reviewed"), [("reviewed", REVIEWED)]),
        (("--calls", "automatic"), [("automatic", AUTOMATIC)]),
        (("--calls", "both"), [("automatic", AUTOMATIC), ("reviewed", REVIEWED)]),
    ],
)
def test_counts_and_slides_show_the_calls_asked_for(
    command: Smearcount, asked: tuple[str, ...], shown: list[tuple[str, dict[str, int]]]
) -> None:
    rows = table(command, "counts", "S", *asked)
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["calls"], {})[row["class"]] = int(row["count"])
    assert [(calls, some(cells)) for calls, cells in found.items()] == shown
    counts = command.json("counts", "S", *asked)
    assert (counts["calls"], some(counts["cells"])) == shown[-1]

    lines = [line for line in command.json("slides", *asked) if line["slide"] == "S"]
    assert [(line["calls"], percents(line)) for line in lines] == [
        (calls, {name: 100 * count / sum(cells.values()) for name, count in cells.items()}) for calls, cells in shown
    ]
    assert {line["reviewed_cells"] for line in lines} == {3}
    assert [row["calls"] for row in table(command, "slides", *asked) if row["slide"] == "S"] == [
        calls for calls, _ in shown
    ]
    printed = [line.split() for line in command.call("slides", *asked).stdout.splitlines()]
    assert [words[2] for words in printed if words[:1] == ["S"]] == [calls for calls, _ in shown]


def percents(line: dict[str, Any]) -> dict[str, float]:
    return {name: line["percents"][name] for name in AUTOMATIC}


@pytest.mark.parametrize("asked", ["automatic", "reviewed", "both"])
def test_a_slide_of_which_nobody_called_a_cell_is_labelled_automatic(command: Smearcount, asked: str) -> None:
    counts = command.json("counts", "T", "--calls", asked)

    assert (counts["calls"], counts["reviewed_cells"], counts["reviewed"]) == ("automatic", 0, None)
    assert counts["automatic"] == {name: counts[name] for name in counts["automatic"]}
    assert (counts["remarks"], counts["excluded"], counts["signed_by"]) == ([], [], None)
    assert [line["calls"] for line in command.json("slides", "--calls", asked) if line["slide"] == "T"] == ["automatic"]


def test_unidentified_is_what_is_in_no_class_after_the_review(command: Smearcount) -> None:
    left = command.json("images", "S", "--state", "unidentified")
    assert [(image["path"], image["calls"]) for image in left] == [("S/1.jpg", "reviewed"), ("S/7.jpg", "automatic")]
    assert len(left) == command.json("counts", "S")["unidentified"]
    assert (left[0]["reviewed"], left[0]["reviewer"], left[0]["review_reason"]) == ("unidentified", "Ada", "smudge")
    assert (left[0]["automatic_class"], left[0]["automatic_identified"], left[0]["identified"]) == (
        "neutrophil", True, False,
    )  # fmt: skip

    by_model = command.json("images", "S", "--state", "unidentified", "--calls", "automatic")
    assert [image["path"] for image in by_model] == ["S/6.jpg", "S/7.jpg"]
    assert {image["calls"] for image in by_model} == {"automatic"}
    everything = {image["path"]: image for image in command.json("images", "S")}
    assert [everything[f"S/{number}.jpg"]["cell_class"] for number in (0, 2, 6)] == ["ig", "neutrophil", "ig"]
    assert "called unidentified by Ada: smudge" in " ".join(
        command.call("images", "S", "--state", "unidentified").stdout.split()
    )
