"""What an examination is, what it cannot be, and its JSON with the schema."""

import dataclasses
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from smearcount.differential.forms.examination import Export, Method, SlideExamination
from smearcount.differential.forms.schema import examination_schema
from smearcount.differential.schema import counts_schema
from smearcount.differential.status import SlideStatus, Status
from smearcount.differential.tally import Calls, CallsAsked

from support.examining import EXPORT, SIGNED_AT, any_examination, examined, exports, reviewed_tally, signed, tally
from support.examples import examples

SCHEMA = Draft202012Validator(examination_schema())
COUNTS = Draft202012Validator(counts_schema())

#: Members that the exported examination and the output of `counts` have in common.
SHARED = ("automatic", "reviewed", "reviewed_cells", "signed_by", "signed_at", "excluded", "remarks")


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_every_examination_keeps_the_schema_and_holds_both_counts(
    examination: SlideExamination, export: Export
) -> None:
    written = examination.as_json(export)

    SCHEMA.validate(written)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    assert written["automatic"] == examination.automatic.as_json()
    assert written["reviewed"] == (examination.reviewed.as_json() if examination.reviewed else None)
    for calls in CallsAsked:
        counts = examination.counts_document(calls).as_json()
        COUNTS.validate(counts)
        # One document within another is described by the same schema.
        COUNTS.validate(counts["automatic"])
        shown = examination.by(calls)[-1]
        assert counts | shown.as_json() == counts
        assert [(one["text"], one["reviewer"]) for one in counts["remarks"]] == [
            (remark.text, remark.reviewer) for remark in examination.remarks.said
        ]
        assert [one["cell"] for one in counts["excluded"]] == [one.cell for one in examination.remarks.excluded]
        assert {name: counts[name] for name in SHARED} == {name: written[name] for name in SHARED}
    assert (written["reviewed"] is None) == (examination.reviewed_cells == 0)
    assert (written["signed_by"] is None) == (written["status"] != "signed")


def test_the_schema_is_a_schema_and_explains_every_property() -> None:
    schema = examination_schema()
    Draft202012Validator.check_schema(schema)

    for described in (schema, schema["properties"]["export"]):
        assert described["additionalProperties"] is False
        for name, subschema in described["properties"].items():
            assert subschema.get("description"), name


@pytest.mark.parametrize(
    "spoilt",
    [
        {"automatic": {}},
        {"reviewed": {"slide": "S-1"}},
        {"signed_at": "yesterday"},
        {"remarks": None},
        {"remarks": [{"kind": "comment", "text": "without author and time"}]},
        {"excluded": [{"cell": 1}]},
    ],
)
def test_the_schema_refuses_what_is_no_examination(spoilt: dict[str, Any]) -> None:
    written = signed().as_json(EXPORT)
    SCHEMA.validate(written)

    assert not SCHEMA.is_valid(written | spoilt)


@pytest.mark.parametrize(
    ("examination", "status", "calls", "method", "amended"),
    [
        (examined(automatic=tally(status=SlideStatus.COUNTING)), "counting", "automatic", "automatic", False),
        (examined(), "complete", "automatic", "automatic", False),
        (examined(reviewed=reviewed_tally()), "complete", "reviewed", "in-review", False),
        (examined(reviewed=reviewed_tally(), was_signed_before=True), "complete", "reviewed", "in-review", False),
        (examined(signed_by="A", signed_at=SIGNED_AT), "signed", "automatic", "reviewed", False),
        (signed(), "signed", "reviewed", "reviewed", False),
        (signed(was_signed_before=True), "signed", "reviewed", "reviewed", True),
    ],
)
def test_the_standing_of_a_slide(
    examination: SlideExamination, status: str, calls: str, method: str, amended: bool
) -> None:
    assert examination.status is Status(status)
    assert examination.calls is Calls(calls)
    assert examination.method is Method(method)
    assert examination.is_amended is amended
    assert examination.reported is (examination.reviewed or examination.automatic)
    assert [report for _, report in examination.reports][-1] is examination.reported


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"status": "complete"}, "signed_by='M. Müller'"),
        ({"signed_by": None}, "signed_by=None"),
        ({"signed_at": None}, "at None"),
        ({"signed_at": datetime(2026, 3, 1)}, "no time zone"),  # noqa: DTZ001 - that is the point
        ({"reviewed": None}, "no reviewed count"),
        (
            {"reviewed": signed(reviewed=reviewed_tally(slide="S-2"), automatic=tally(slide="S-2")).reviewed},
            "different",
        ),
        ({"reviewed": examined(automatic=tally(status=SlideStatus.COUNTING)).automatic}, "cannot be signed"),
        ({"reviewed": signed().automatic}, "labelled with other calls"),
        ({"automatic": signed().reported}, "labelled with other calls"),
        ({"status": "final"}, "'final' is not a valid"),
    ],
)
def test_an_examination_that_contradicts_itself_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        dataclasses.replace(signed(), **changes)


def test_an_export_has_a_time_with_a_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Export(key="1", at=datetime(2026, 3, 1), version="1")  # noqa: DTZ001 - that is the point


def test_a_report_has_the_same_id_whatever_becomes_of_the_slide() -> None:
    ids = {each.report_id for each in (examined(), signed(), signed(was_signed_before=True))}

    assert len(ids) == 1


def test_slides_that_differ_have_different_reports() -> None:
    slides = [
        examined(),
        examined(inbox="Lab 2"),
        examined(automatic=tally(slide="S-1235")),
        examined(automatic=tally(first_image_at=SIGNED_AT)),
        dataclasses.replace(examined(), slide_id=13),
        # The same characters, divided otherwise.
        examined(inbox="LabS", automatic=tally(slide="-1234")),
    ]

    assert len({each.report_id for each in slides}) == len(slides)
