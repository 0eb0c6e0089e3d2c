"""Slides as CSV: every number exactly, and nothing that a spreadsheet would run."""

import csv
import io
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.forms.examination import SlideExamination
from smearcount.differential.forms.spreadsheet import EXAMINATION_COLUMNS, examinations_csv

from support.examining import HOSTILE_NAMES, any_examination, examined, reviewed_tally, signed, tally
from support.examples import examples


def parsed(*examinations: SlideExamination) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(examinations_csv(*examinations), newline="")))


def number(cell: str) -> float | None:
    return float(cell) if cell else None


@settings(max_examples=examples(30))
@given(st.lists(any_examination(), max_size=3))
def test_every_number_of_every_slide_is_in_the_csv_exactly(examinations: list[SlideExamination]) -> None:
    rows = iter(parsed(*examinations))

    for examination in examinations:
        for calls, report in examination.reports:
            of_class = {CellClass(row["class"]): row for row in (next(rows) for _ in CellClass)}
            assert of_class.keys() == set(CellClass)
            for differential in report.differential:
                row = of_class[differential.cell_class]
                assert number(row["percent"]) == differential.percent
                assert (number(row["ci95_low"]), number(row["ci95_high"])) == (
                    differential.ci95_low,
                    differential.ci95_high,
                )
                assert (number(row["reference_low"]), number(row["reference_high"])) == (
                    differential.reference_low,
                    differential.reference_high,
                )
                assert row["flag"] == (differential.flag or "")
            for cell_class, row in of_class.items():
                assert int(row["count"]) == report.cells[cell_class]
                assert (row["slide_id"], row["calls"], row["status"]) == (
                    str(examination.slide_id),
                    calls,
                    examination.status,
                )
                assert (int(row["wbc_counted"]), int(row["unidentified"])) == (report.wbc_counted, report.unidentified)
                assert number(row["nrbc_per_100_wbc"]) == report.nrbc_per_100_wbc
                assert number(row["wbc_correction_factor"]) == report.wbc_correction_factor
                assert row["flags"].split() == [flag.code for flag in report.flags]
                assert int(row["reviewed_cells"]) == examination.reviewed_cells
                assert int(row["excluded_cells"]) == len(examination.remarks.excluded)
                assert row["excluded"] == examination.remarks.excluded_text
                assert row["remarks"] == " // ".join(examination.remarks.lines)
                assert row["model_sha256"] == (report.model.sha256 if report.model else "")
    assert next(rows, None) is None


@settings(max_examples=examples(30))
@given(any_examination())
def test_no_cell_is_a_formula(examination: SlideExamination) -> None:
    for row in parsed(examination):
        for column in ("slide", "inbox", "signed_by", "model_name", "model_version", "flags", "excluded", "remarks"):
            assert not row[column].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
        assert not set("\r\n") & set(row["excluded"] + row["remarks"])


# A lone surrogate cannot be written at all; it comes out spelled.
@pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if name != "\ud800"])
def test_a_name_can_be_had_back_from_the_csv(name: str) -> None:
    cell = parsed(examined(automatic=tally(slide=name)))[0]["slide"]

    # An apostrophe stands wherever a cell may begin with a formula, also after a tab or line break within the name.
    assert name in {cell, cell.removeprefix("'"), re.sub(r"(\A|[;\t\r\n][\s\"]*)'", r"\1", cell)}


def test_a_reviewed_slide_stands_there_twice_the_result_last() -> None:
    rows = parsed(signed())

    assert [row["calls"] for row in rows] == ["automatic"] * 8 + ["reviewed"] * 8
    neutrophils = [(row["count"], row["wbc_counted"]) for row in rows if row["class"] == "neutrophil"]
    assert neutrophils == [("78", "100"), ("79", "103")]
    assert {(row["signed_by"], row["signed_at"]) for row in rows} == {("M. Müller", "2026-03-01T09:00:00Z")}
    assert len({row["report_id"] for row in rows}) == 1


def test_what_is_no_wbc_has_a_count_alone() -> None:
    rows = {row["class"]: row for row in parsed(examined())}

    assert (rows["platelet"]["count"], rows["platelet"]["percent"]) == ("9", "")
    assert (rows["erythroblast"]["count"], rows["erythroblast"]["percent"]) == ("6", "")
    assert sum(float(rows[cell_class]["percent"]) for cell_class in WBC_CLASSES) == 100


def test_no_slides_are_a_line_of_headings() -> None:
    assert examinations_csv() == ",".join(EXAMINATION_COLUMNS) + "\n"


def test_times_are_in_utc() -> None:
    later = datetime(2026, 3, 2, 1, 2, 3, tzinfo=UTC)
    rows = parsed(signed(reviewed=reviewed_tally(completed_at=later), signed_at=later))

    assert (rows[-1]["completed_at"], rows[-1]["signed_at"]) == ("2026-03-02T01:02:03Z", "2026-03-02T01:02:03Z")
