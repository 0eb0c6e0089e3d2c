"""What the printed page says, in the words and numbers of the report."""

import dataclasses

import pytest
from hypothesis import given, settings

from smearcount.differential.classes import WBC_CLASSES, ReviewClass
from smearcount.differential.counts_document import ExcludedCell, RemarkedCell
from smearcount.differential.forms.examination import Export, SlideExamination
from smearcount.differential.forms.remarks import Remarks
from smearcount.differential.forms.report_page import ReportPage, report_page
from smearcount.differential.status import SlideStatus

from support.examining import (
    EXPORT,
    REMARKS,
    SIGNED_AT,
    any_examination,
    examined,
    exports,
    reviewed_tally,
    signed,
    tally,
)
from support.examples import examples


def texts(page: ReportPage) -> list[str]:
    rows = [text for row in page.rows for text in (row.name, row.percent_text, row.interval_text, row.automatic_text)]
    facts = [text for fact in page.facts for text in fact]
    written = [page.excluded, *page.remarks]
    return [
        *written,
        page.title,
        page.slide,
        page.standing,
        page.signature,
        page.calls,
        page.model,
        page.printed,
        *rows,
        *facts,
    ]


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_the_page_says_what_the_report_says(examination: SlideExamination, export: Export) -> None:
    page = report_page(examination, export)
    result = examination.reported
    facts = dict(page.facts)

    assert tuple(row.cell_class for row in page.rows) == WBC_CLASSES
    for shown, row in zip(page.rows, result.differential, strict=True):
        assert shown.count == row.count
        assert shown.percent == row.percent
        assert shown.percent_text == ("–" if row.percent is None else f"{row.percent:.1f}")
        assert shown.interval == (None if row.percent is None else (row.ci95_low, row.ci95_high))
        assert shown.flag == (row.flag or "")
    assert (facts["WBC counted"], facts["Platelets seen"]) == (str(result.wbc_counted), str(result.platelets))
    assert facts["Unidentified cells"] == str(result.unidentified)
    assert facts["Excluded by people"] == str(len(examination.remarks.excluded))
    assert page.remarks == examination.remarks.lines
    assert len(page.remarks) == len(examination.remarks.said)
    assert page.flags == tuple(flag.message for flag in result.flags)
    assert (page.signature == "") == (not examination.is_signed)
    assert all(text.isprintable() for text in texts(page))
    assert page.slide


@pytest.mark.parametrize(
    ("examination", "standing", "calls"),
    [
        (
            examined(automatic=tally(status=SlideStatus.COUNTING)),
            "Not signed, still counting: every number may change",
            "Automatic calls; no cell was called by a person",
        ),
        (examined(reviewed=reviewed_tally()), "Not signed", "Automatic calls, 3 cells called by a person"),
        (signed(cells=1), "Final", "Automatic calls, 1 cell called by a person"),
        (
            signed(was_signed_before=True),
            "Amended: replaces a report that was signed earlier",
            "Automatic calls, 3 cells called by a person",
        ),
    ],
)
def test_the_standing_is_said_in_words(examination: SlideExamination, standing: str, calls: str) -> None:
    page = report_page(examination, EXPORT)

    assert (page.standing, page.calls) == (standing, calls)


def test_an_ordinary_page() -> None:
    page = report_page(signed(), EXPORT)
    neutrophil, ig = page.rows[0], page.rows[-1]

    assert page.signature == "Signed by M. Müller, 2026-03-01 09:00:00 UTC"
    assert page.printed == "Printed 2026-03-01 09:05:00 UTC by smearcount 0.1.0"
    assert page.images_from == "Images received from 2026-03-01 08:30:00 UTC to 2026-03-01 08:31:02 UTC"
    assert (neutrophil.percent_text, neutrophil.interval_text, neutrophil.reference_text, neutrophil.flag) == (
        "76.7", "67.3–84.5", "39–75", "borderline",
    )  # fmt: skip
    assert (neutrophil.automatic_text, neutrophil.changed) == ("78.0 (78)", True)
    assert (ig.count, ig.automatic_text, ig.changed) == (2, "0.0 (0)", True)
    assert [row.changed for row in page.rows] == [True, False, False, False, False, True]
    assert dict(page.facts)["nRBC per 100 WBC"] == "5.8 (6 seen)"
    assert dict(page.facts)["WBC correction factor"] == "0.945"
    assert page.limits[0] == "Research use only until validated on site."


def test_the_page_has_what_people_wrote_and_excluded() -> None:
    excluded = [
        ExcludedCell(
            cell=cell,
            automatic=automatic,
            reviewed=ReviewClass.UNIDENTIFIED,
            reviewer="A",
            at=SIGNED_AT,
            reason="smudge",
        )
        for cell, automatic in ((4, ReviewClass.NEUTROPHIL), (7, ReviewClass.UNIDENTIFIED), (9, ReviewClass.NEUTROPHIL))
    ]
    page = report_page(signed(remarks=dataclasses.replace(REMARKS, excluded=tuple(excluded))), EXPORT)

    assert page.remarks == (
        "2026-03-01 08:50:00 UTC, A. Schmidt, 2 cells called ig: indented nucleus",
        "2026-03-01 08:58:00 UTC, M. Müller, comment: stain a little pale & thick at the edge",
    )
    assert page.excluded == (
        "neutrophil by the model, called unidentified by a person: cells 4, 9; "
        "unidentified, called unidentified by a person: cell 7"
    )
    assert dict(page.facts)["Excluded by people"] == "3"


@pytest.mark.parametrize(
    ("cells", "occasion"),
    [
        ([(ReviewClass.IG, True)], "1 cell called ig"),
        ([(ReviewClass.UNIDENTIFIED, False)], "1 cell called unidentified, changed since"),
        (
            [(ReviewClass.NEUTROPHIL, True), (ReviewClass.IG, False), (None, True)],
            "3 cells back to the automatic call or called ig or called neutrophil, 1 changed since",
        ),
    ],
)
def test_a_reason_names_the_calls_that_it_was_given_for(
    cells: list[tuple[ReviewClass | None, bool]], occasion: str
) -> None:
    remarked = tuple(
        RemarkedCell(cell=number, reviewed=reviewed, holds=holds) for number, (reviewed, holds) in enumerate(cells)
    )
    said = (dataclasses.replace(REMARKS.said[0], cells=remarked),)

    (line,) = report_page(signed(remarks=Remarks(said=said)), EXPORT).remarks
    assert line == f"2026-03-01 08:50:00 UTC, A. Schmidt, {occasion}: indented nucleus"


def test_without_a_review_there_is_nothing_to_compare() -> None:
    page = report_page(examined(signed_by="A", signed_at=SIGNED_AT), EXPORT)

    assert {(row.automatic_text, row.changed) for row in page.rows} == {("", False)}
