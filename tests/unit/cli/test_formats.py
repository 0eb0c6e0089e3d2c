"""What a person and a program get to read."""

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from smearcount.cli.views import formats
from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.forms.examination import SlideExamination
from smearcount.differential.forms.remarks import Remarks
from smearcount.differential.line import SlideLine, line
from smearcount.differential.model import ModelIdentity
from smearcount.differential.settings import ADULT_REFERENCE_RANGES, CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls, CallsAsked, SlideTally

from support.examining import HOSTILE_TEXTS, REMARKS, examined

# Given in full: the environment of whoever runs the tests has no say.
DEFAULTS = CountSettings(reference_ranges=ADULT_REFERENCE_RANGES, minimum_wbc=100, nrbc_correction_at=5.0)

HOSTILE = "[red]=1+1[/red]\x1b[2J:smile:"


def tally(**changes: Any) -> SlideTally:
    ordinary: dict[str, Any] = {
        "slide": "S-1",
        "status": SlideStatus.COMPLETE,
        "models": (ModelIdentity("smearnet", "1.0", "0123456789abcdef" * 4),),
        "cells": {
            CellClass.NEUTROPHIL: 80,
            CellClass.LYMPHOCYTE: 15,
            CellClass.MONOCYTE: 5,
            CellClass.ERYTHROBLAST: 7,
            CellClass.PLATELET: 12,
        },
        "unidentified": 2,
        "quarantined": 0,
        "duplicates": 1,
        "pending": 0,
        "first_image_at": datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
        "completed_at": None,
    }
    return SlideTally(**(ordinary | changes))


AUTOMATIC, REVIEWED, BOTH = CallsAsked


def an_examination(*, remarks: Remarks | None = None, **changes: Any) -> SlideExamination:
    return examined(automatic=tally(**changes), remarks=remarks)


def a_reviewed_one(**changes: Any) -> SlideExamination:
    """The ordinary slide, of which a person has called both unidentified cells monocytes and a neutrophil no class."""
    cells = {**tally().cells, CellClass.MONOCYTE: 7, CellClass.NEUTROPHIL: 79}
    after = tally(cells=cells, unidentified=1, calls=Calls.REVIEWED)
    return examined(**({"automatic": tally(), "reviewed": after} | changes))


def a_line(**changes: Any) -> SlideLine:
    return line(tally(**changes), DEFAULTS, inbox="/in", reviewed_cells=0)


def printed(renderable: RenderableType) -> str:
    """Return what a pipe receives: no terminal, 80 columns."""
    console = Console(file=io.StringIO(), width=80, force_terminal=False)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    return text


def rows(text: str) -> list[str]:
    """Return the lines without their alignment."""
    return [" ".join(row.split()) for row in text.splitlines()]


def unfolded(text: str) -> str:
    """Return the text in one line."""
    return " ".join(text.split())


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_differential_of_a_slide() -> None:
    text = printed(formats.differential_table(an_examination(), REVIEWED))

    assert text.startswith("Slide S-1\n")
    assert "Neutrophil 80 80.0 70.8-87.3 39-75 borderline" in rows(text)
    assert "Immature granulocyte 0 0.0 0.0-3.6 0-0.9" in rows(text)
    assert "WBC counted 100" in rows(text)
    assert "nRBC/100 WBC 7.0 (7 seen), WBC correction factor 0.935" in rows(text)
    assert "Platelets 12" in rows(text)
    assert "Unidentified 2" in rows(text)
    assert "Quarantined 0" in rows(text)
    assert "Duplicates 1" in rows(text)
    assert "Model smearnet 1.0 (SHA-256 0123456789ab)" in rows(text)
    assert (
        "Neutrophil borderline: 80.0 % (80 of 100), reference 39-75 %, cannot be told from normal with 100 cells"
        in unfolded(text)
    )
    assert "To review 7 nRBC seen" in rows(text)
    assert text.endswith("\nResearch use only until validated on site.\n")


def test_the_differential_of_a_slide_nothing_is_known_of() -> None:
    text = printed(formats.differential_table(an_examination(cells={}, models=(), unidentified=0), REVIEWED))

    assert "Neutrophil 0 - - 39-75" in rows(text)
    assert "nRBC/100 WBC - (0 seen)" in rows(text)
    assert "Model none yet" in rows(text)
    assert "Flags no WBC counted, so there is no differential" in rows(text)


def test_names_are_shown_without_markup_and_control_characters() -> None:
    shown = r"[red]=1+1[/red]\x1b[2J:smile:"

    assert shown in printed(formats.differential_table(an_examination(slide=HOSTILE), REVIEWED))
    # In the narrow column of a list it is folded.
    assert shown in "".join(
        row.split()[0] for row in rows(printed(formats.slides_table([a_line(slide=HOSTILE)])))[3:] if row
    )
    assert shown in printed(formats.rows_table([{"name": HOSTILE}]))


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "cp1252"])
def test_tables_print_in_any_encoding(encoding: str) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=pipe, width=80, force_terminal=False)

    console.print(formats.differential_table(an_examination(), REVIEWED))
    console.print(formats.slides_table([a_line()]))


def test_the_csv_of_counts() -> None:
    cells = parsed(formats.counts_csv(an_examination(), REVIEWED))

    assert list(cells[0]) == list(formats.COUNTS_COLUMNS)
    assert [row["class"] for row in cells] == [*WBC_CLASSES, "erythroblast", "platelet"]
    assert cells[0] == {
        "slide": "S-1",
        "class": "neutrophil",
        "count": "80",
        "percent": "80.0",
        "ci95_low": cells[0]["ci95_low"],
        "ci95_high": cells[0]["ci95_high"],
        "reference_low": "39.0",
        "reference_high": "75.0",
        "flag": "borderline",
        "calls": "automatic",
        "reviewed_cells": "0",
        "excluded_cells": "0",
        "excluded": "",
        "remarks": "",
    }
    assert float(cells[0]["ci95_low"]) == an_examination().automatic.differential[0].ci95_low
    assert cells[-1] == dict.fromkeys(formats.COUNTS_COLUMNS, "") | {
        "slide": "S-1",
        "class": "platelet",
        "count": "12",
        "calls": "automatic",
        "reviewed_cells": "0",
        "excluded_cells": "0",
    }


def test_the_json_of_counts() -> None:
    for calls in CallsAsked:
        written = json.loads(formats.counts_json(a_reviewed_one(), calls))
        assert written == a_reviewed_one().counts_document(calls).as_json()


@pytest.mark.parametrize(
    ("calls", "shown", "neutrophils"),
    [(AUTOMATIC, "automatic", 80), (REVIEWED, "reviewed", 79), (BOTH, "reviewed", 79)],
)
def test_the_json_says_which_calls_it_shows_and_holds_both(calls: CallsAsked, shown: str, neutrophils: int) -> None:
    written = json.loads(formats.counts_json(a_reviewed_one(), calls))

    assert (written["calls"], written["cells"]["neutrophil"], written["reviewed_cells"]) == (shown, neutrophils, 3)
    both = {one: written[one]["cells"]["neutrophil"] for one in ("automatic", "reviewed")}
    assert both == {"automatic": 80, "reviewed": 79}
    assert {one: written[one]["calls"] for one in both} == {"automatic": "automatic", "reviewed": "reviewed"}


@pytest.mark.parametrize("calls", CallsAsked)
def test_what_nobody_reviewed_is_automatic_whatever_is_asked_for(calls: CallsAsked) -> None:
    written = json.loads(formats.counts_json(an_examination(), calls))

    assert (written["calls"], written["reviewed_cells"], written["reviewed"]) == ("automatic", 0, None)
    assert written["automatic"] == {name: written[name] for name in written["automatic"]}
    assert {row["calls"] for row in parsed(formats.counts_csv(an_examination(), calls))} == {"automatic"}
    assert "Automatic calls; no cell was called by a person" in printed(
        formats.differential_table(an_examination(), calls)
    )


@pytest.mark.parametrize(
    ("calls", "counts"),
    [
        (AUTOMATIC, [("automatic", "80")]),
        (REVIEWED, [("reviewed", "79")]),
        (BOTH, [("automatic", "80"), ("reviewed", "79")]),
    ],
)
def test_table_and_csv_show_the_calls_asked_for_and_name_them(calls: CallsAsked, counts: list[tuple[str, str]]) -> None:
    cells = [row for row in parsed(formats.counts_csv(a_reviewed_one(), calls)) if row["class"] == "neutrophil"]
    text = printed(formats.differential_table(a_reviewed_one(), calls))

    assert [(row["calls"], row["count"]) for row in cells] == counts
    assert {row["reviewed_cells"] for row in cells} == {"3"}
    shown = [row.split()[1] for row in rows(text) if row.startswith("Neutrophil ")]
    assert [count for count in shown if count.isdigit()] == [count for _, count in counts]
    assert ("Automatic calls alone, before review" in text) == (calls is not REVIEWED)
    assert ("Automatic calls, 3 cells called by a person" in text) == (calls is not AUTOMATIC)


def test_the_result_names_who_signed_it() -> None:
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    signed = a_reviewed_one(signed_by="M. Müller", signed_at=at)

    assert "Signed by M. Müller, 2026-03-01 09:00:00 UTC" in printed(formats.differential_table(signed, REVIEWED))
    written = json.loads(formats.counts_json(signed, REVIEWED))
    assert (written["signed_by"], written["signed_at"]) == ("M. Müller", "2026-03-01T09:00:00Z")


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=repr)
def test_what_people_wrote_is_shown_as_one_line_of_plain_text(text: str) -> None:
    (remark,) = REMARKS.said[1:]
    remarks = Remarks(said=(dataclasses.replace(remark, text=text),))
    one = an_examination(remarks=remarks)

    shown = printed(formats.differential_table(one, REVIEWED))
    assert "".join(remarks.lines[0].split()) in "".join(shown.split())
    cells = parsed(formats.counts_csv(one, REVIEWED))
    assert {row["remarks"] for row in cells} == {remarks.lines[0]}
    assert json.loads(formats.counts_json(one, REVIEWED))["remarks"][0]["text"] == text


def test_the_list_of_slides() -> None:
    text = printed(formats.slides_table([a_line(), a_line(slide="S-2" * 20, cells={})]))

    assert "S-1 complete automatic 100 80.0 15.0 5.0 0.0 0.0 0.0 7.0 4" in rows(text)
    assert "S-1 7 nRBC seen" in rows(text)
    # Too long a name is folded, never cut.
    assert "S-2" * 20 in "".join(row.split()[0] for row in rows(text)[4:] if row)


def test_the_csv_of_slides() -> None:
    (row,) = parsed(formats.slides_csv([a_line()]))

    assert list(row) == list(formats.SLIDES_COLUMNS)
    assert row["neutrophil_percent"] == "80.0"
    assert row["images"] == "122"
    assert row["flags"] == "unidentified nrbc-correction borderline:neutrophil borderline:lymphocyte"
    assert row["review_reasons"] == "nrbc"
    assert row["first_image_at"] == "2026-03-01T08:30:00Z"
    assert row["completed_at"] == ""
    assert (row["calls"], row["reviewed_cells"]) == ("automatic", "0")
    assert formats.slides_csv([]) == ",".join(formats.SLIDES_COLUMNS) + "\n"


def test_the_json_of_slides() -> None:
    assert json.loads(formats.slides_json([a_line()])) == [a_line().as_json()]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
@pytest.mark.parametrize(
    "written",
    [
        lambda name: formats.counts_csv(an_examination(slide=name), REVIEWED),
        lambda name: formats.slides_csv([a_line(slide=name)]),
        lambda name: formats.rows_csv([{"slide": name}]),
        lambda name: formats.rows_csv([{"slide": [name]}]),
    ],
)
def test_csv_defuses_formulas_in_names(start: str, written: Callable[[str], str]) -> None:
    name = f'{start}HYPERLINK("http://x","y")'

    assert parsed(written(name))[0]["slide"] == f"'{name}"


def test_csv_leaves_numbers_alone() -> None:
    assert formats.rows_csv([{"offset": -1.5}]) == "offset\n-1.5\n"


@dataclass(frozen=True)
class Seen:
    """A row as another room might hand it over."""

    image_id: int
    path: Path
    cell_class: CellClass | None
    confidence: float
    seen_at: datetime
    reviewed: bool
    reasons: tuple[str, ...] = ()


SEEN = [
    Seen(7, Path("S-1/é.jpg"), CellClass.IG, 0.987654, datetime(2026, 3, 1, tzinfo=UTC), reviewed=True, reasons=("x",)),
    Seen(8, Path("S-1/b.jpg"), None, 0.5, datetime(2026, 3, 2, tzinfo=UTC), reviewed=False),
]


def test_any_rows_as_a_table() -> None:
    text = printed(formats.rows_table(SEEN))

    assert "Image id Path Cell class Confidence Seen at Reviewed Reasons" in rows(text)
    assert "7 S-1/é.jpg ig 0.988 2026-03-01T00:00:00Z yes x" in rows(text)
    assert "8 S-1/b.jpg - 0.500 2026-03-02T00:00:00Z no -" in rows(text)
    assert "Path" not in printed(formats.rows_table(SEEN, ["image_id"]))
    assert "Image id" in printed(formats.rows_table([], ["image_id"]))


def test_any_rows_as_csv() -> None:
    assert formats.rows_csv(SEEN) == (
        "image_id,path,cell_class,confidence,seen_at,reviewed,reasons\n"
        "7,S-1/é.jpg,ig,0.987654,2026-03-01T00:00:00Z,true,x\n"
        "8,S-1/b.jpg,,0.5,2026-03-02T00:00:00Z,false,\n"
    )
    assert formats.rows_csv([], ["image_id", "path"]) == "image_id,path\n"
    assert formats.rows_csv([]) == ""
    assert formats.rows_csv([{"queue": {"waiting": 3}}]) == 'queue\n"{""waiting"": 3}"\n'


def test_any_rows_as_json() -> None:
    assert json.loads(formats.rows_json(SEEN))[0] == {
        "image_id": 7,
        "path": "S-1/é.jpg",
        "cell_class": "ig",
        "confidence": 0.987654,
        "seen_at": "2026-03-01T00:00:00Z",
        "reviewed": True,
        "reasons": ["x"],
    }
    assert formats.rows_json([]) == "[]\n"


def test_a_file_name_that_is_no_utf8_can_be_written() -> None:
    name = b"\xff.jpg".decode("utf-8", errors="surrogateescape")

    assert formats.rows_csv([{"name": name}]) == "name\n\\udcff.jpg\n"
    assert formats.rows_json([{"name": name}]).isascii()
    assert r"\xff.jpg" in printed(formats.rows_table([{"name": name}]))


def test_names_that_look_alike_are_told_apart_in_every_table() -> None:
    names = ["S-60", "S-60 ", " S-60", "S  60", "S 60", "Müller", "Mu\u0308ller", "S\u00a060"]

    renders: tuple[Callable[[str], RenderableType], ...] = (
        lambda name: formats.slides_table([a_line(slide=name)]),
        lambda name: formats.differential_table(an_examination(slide=name), REVIEWED),
        lambda name: formats.rows_table([{"path": f"{name}/a.jpg"}]),
        lambda name: formats.rows_table([{"path": Path(f"{name}/a.jpg")}]),
    )
    for render in renders:
        shown = {" ".join(printed(render(name)).split()) for name in names}
        assert len(shown) == len(names)

    assert json.loads(formats.slides_json([a_line(slide="S-60 ")]))[0]["slide"] == "S-60 ", (
        "programs get the name itself"
    )
    assert formats.lookalikes_text([["S-60", "S-60 "]]) == (
        r"names that look alike are different slides: 'S-60' and 'S-60\x20'; if they are one, give the folder one name"
    )
    assert formats.lookalikes_text([["a", "a "]] * 5).endswith(
        "; and 2 more; if they are one, give the folder one name"
    )


def test_a_path_in_a_sentence_is_no_name() -> None:
    shown = printed(formats.rows_table([{"what": "inbox /data/exports", "path": "S /a.jpg"}]))
    assert "inbox /data/exports" in shown
    assert r"S\x20/a.jpg" in shown
