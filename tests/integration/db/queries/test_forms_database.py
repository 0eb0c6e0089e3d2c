"""Every form of a slide agrees with what the database says of it, counted by SQL of its own."""

import csv
import io
import json
from datetime import UTC, datetime

import hl7
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import is_storable
from smearcount.db.review.sign_off import comment, reopen
from smearcount.differential.classes import CellClass
from smearcount.differential.forms.codes import PERCENTS
from smearcount.differential.forms.examination import Export, SlideExamination
from smearcount.differential.forms.fhir import bundle
from smearcount.differential.forms.hl7 import oru
from smearcount.differential.forms.report_page import report_page
from smearcount.differential.forms.spreadsheet import examinations_csv
from smearcount.differential.forms.wording import on_one_line, printable_lines
from smearcount.differential.settings import ADULT_REFERENCE_RANGES, CountSettings
from smearcount.web.queries.examinations import examinations

from support.examining import HOSTILE_TEXTS
from support.reviewing import IG, MONOCYTE, NEUTROPHIL, UNIDENTIFIED, Bench, sign

SETTINGS = CountSettings(reference_ranges=ADULT_REFERENCE_RANGES, minimum_wbc=100, nrbc_correction_at=5.0)
EXPORT = Export(key="1", at=datetime(2026, 3, 1, tzinfo=UTC), version="0.1.0")

#: The calls that count, by the views that people query.
REVIEWED = "SELECT cell_class, count(*) FROM reviewed_calls WHERE slide_id = :slide AND identified GROUP BY cell_class"
AUTOMATIC = (
    "SELECT cell_class, count(*) FROM automatic_calls WHERE slide_id = :slide AND identified GROUP BY cell_class"
)


@pytest.fixture
def bench(database: Database) -> Bench:
    """A slide of which a person has called four cells, one of them as no class at all."""
    bench = Bench(database)
    classes: list[CellClass | None] = [CellClass.NEUTROPHIL] * 13
    classes += [CellClass.LYMPHOCYTE] * 5 + [CellClass.MONOCYTE] * 3
    classes += [CellClass.ERYTHROBLAST] * 2 + [CellClass.PLATELET] * 4 + [None] * 3
    ids = bench.fill("S|1", classes)
    bench.complete()
    bench.call(IG, ids[0], ids[-1])
    bench.call(MONOCYTE, ids[13])
    bench.call(UNIDENTIFIED, ids[22])
    bench.call(NEUTROPHIL, ids[1])
    return bench


def examined(bench: Bench) -> SlideExamination:
    (examination,) = examinations(bench.database, [bench.slide_id("S|1")], SETTINGS)
    return examination


def counted(bench: Bench, query: str) -> dict[str, int]:
    with bench.database.reading() as connection:
        rows = connection.execute(text(query), {"slide": bench.slide_id("S|1")}).all()
    return {cell_class.value: 0 for cell_class in CellClass} | {str(name): int(count) for name, count in rows}


def test_every_form_says_what_the_database_says(bench: Bench) -> None:
    automatic, reviewed = counted(bench, AUTOMATIC), counted(bench, REVIEWED)
    assert automatic != reviewed
    examination = examined(bench)

    rows = list(csv.DictReader(io.StringIO(examinations_csv(examination))))
    for calls, expected in (("automatic", automatic), ("reviewed", reviewed)):
        assert {row["class"]: int(row["count"]) for row in rows if row["calls"] == calls} == expected
        assert examination.as_json(EXPORT)[calls]["cells"] == expected

    parsed = Bundle.model_validate_json(json.dumps(bundle(examination, EXPORT)))
    observations = [entry.resource for entry in parsed.entry or [] if isinstance(entry.resource, Observation)]
    results = {
        one.code.coding[0].code: float(one.valueQuantity.value)
        for one in observations
        if one.code.coding and one.valueQuantity and one.valueQuantity.value is not None
    }
    assert len(results) == len(observations)
    message = hl7.parse(oru(examination, EXPORT))
    sent = {str(segment[3][0][0]): str(segment[5]) for segment in message.segments("OBX")}
    wbc = sum(reviewed[cell_class] for cell_class in PERCENTS)
    for cell_class, code in PERCENTS.items():
        assert results[f"{cell_class}-count"] == float(sent[f"{cell_class}-count"]) == reviewed[cell_class]
        assert results[code.code] == float(sent[code.code]) == round(100 * reviewed[cell_class] / wbc, 2)
    assert results["wbc-counted"] == wbc
    assert results["reviewed-cells"] == 5
    assert results["platelets-seen"] == reviewed["platelet"]


def test_every_form_tells_what_people_wrote_and_excluded(bench: Bench) -> None:
    slide_id = bench.slide_id("S|1")
    texts = [one for one in HOSTILE_TEXTS if one.strip() and is_storable(one)]
    bench.call(UNIDENTIFIED, 3, reason="a smudge")
    for written in texts:
        comment(bench.database, slide_id, reviewer="Ada", text=written)
    sign(bench.database, slide_id, reviewer="Grace", comment="seen twice")
    reopen(bench.database, slide_id, reviewer="Ada", reason="a blast, after all")
    said = ["a smudge", *(one.strip() for one in texts), "seen twice", "a blast, after all"]
    examination = examined(bench)

    exported = examination.as_json(EXPORT)
    assert [remark["text"] for remark in exported["remarks"]] == said
    assert [one["cell"] for one in exported["excluded"]] == [3, 23]
    shown = [line.partition(": ")[2] for line in examination.remarks.lines]
    assert shown == [on_one_line(one) for one in said]
    for row in csv.DictReader(io.StringIO(examinations_csv(examination), newline="")):
        assert (row["excluded_cells"], row["excluded"]) == ("2", examination.remarks.excluded_text)
        assert row["remarks"] == " // ".join(examination.remarks.lines)

    parsed = Bundle.model_validate_json(json.dumps(bundle(examination, EXPORT)))
    report = next(one.resource for one in parsed.entry or [] if isinstance(one.resource, DiagnosticReport))
    assert len(report.extension or []) == len(said)
    assert all(line in str(report.conclusion).split("\n") for line in examination.remarks.lines)

    message = hl7.parse(oru(examination, EXPORT))
    notes = [message.unescape(str(segment[3])) for segment in message.segments("NTE") if len(segment) > 4]
    assert [note.partition(": ")[2] for note in notes] == ["\r".join(printable_lines(one)) for one in said]
    sent = {str(segment[3][0][0]): str(segment[5]) for segment in message.segments("OBX")}
    assert sent["excluded-cells"] == "2"

    page = report_page(examination, EXPORT)
    assert (page.remarks, page.excluded) == (examination.remarks.lines, examination.remarks.excluded_text)


def test_the_status_follows_what_people_do(bench: Bench) -> None:
    slide_id = bench.slide_id("S|1")

    def statuses() -> tuple[str, str, str]:
        examination = examined(bench)
        order = hl7.parse(oru(examination, EXPORT)).segment("OBR")
        return examination.status, bundle(examination, EXPORT)["entry"][0]["resource"]["status"], str(order[25])

    assert statuses() == ("complete", "partial", "P")
    sign(bench.database, slide_id, reviewer="Ada")
    assert statuses() == ("signed", "final", "F")
    first = examined(bench).report_id
    reopen(bench.database, slide_id, reviewer="Ada", reason="a blast, after all")
    assert statuses() == ("complete", "partial", "P")
    sign(bench.database, slide_id, reviewer="Grace")
    assert statuses() == ("signed", "amended", "C")
    assert examined(bench).report_id == first
    assert examined(bench).signed_by == "Grace"
