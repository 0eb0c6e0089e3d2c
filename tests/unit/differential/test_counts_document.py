"""The JSON of a slide's counts has one description; the schema file, the written text and the API agree with it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import smearcount.differential.schema
from smearcount.differential.classes import CellClass
from smearcount.differential.counts_document import SCHEMA_VERSION, CellsDocument
from smearcount.differential.model import ModelIdentity
from smearcount.differential.report import report
from smearcount.differential.review_rules import REVIEW_RULES
from smearcount.differential.schema import SCHEMA_FILE, counts_schema, counts_schema_text
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import SlideTally
from smearcount.web.schemas.slides import CountsAnswer

#: As version 2 of the schema has it, new members at the end: programs read it, so that neither names, nor their order, nor
#: spellings may change.
WRITTEN = """{
  "schema_version": 2, "slide": "S-1", "status": "counting",
  "model": {"name": "smearnet", "version": "2", "sha256": "SHA"},
  "cells": {"basophil": 0, "eosinophil": 0, "erythroblast": 1, "ig": 0, "lymphocyte": 0, "monocyte": 0, "neutrophil": 4,
    "platelet": 2},
  "wbc_counted": 4,
  "differential": [
    {"class": "neutrophil", "count": 4, "percent": 100.0, "ci95": {"low": 39.763536, "high": 100.0},
      "reference": {"low": 39.0, "high": 75.0}, "flag": "borderline"}],
  "nrbc_per_100_wbc": 25.0, "wbc_correction_factor": 0.8, "platelets": 2, "unidentified": 3, "pending": 0,
  "quarantined": 5, "duplicates": 6,
  "flags": [
    {"code": "incomplete", "message": "still counting: more images may arrive"}],
  "review_reasons": [],
  "first_image_at": "2026-03-01T08:30:00.000500Z", "completed_at": null, "calls": "automatic"
}"""


def written() -> dict[str, Any]:
    tally = SlideTally(
        slide="S-1",
        status=SlideStatus.COUNTING,
        models=(ModelIdentity("smearnet", "2", "b" * 64),),
        cells={CellClass.NEUTROPHIL: 4, CellClass.ERYTHROBLAST: 1, CellClass.PLATELET: 2},
        unidentified=3,
        quarantined=5,
        duplicates=6,
        pending=0,
        first_image_at=datetime(2026, 3, 1, 8, 30, 0, 500, tzinfo=UTC),
        completed_at=None,
    )
    return report(tally, CountSettings()).as_json()


def test_the_text_is_written_as_ever() -> None:
    result = written()
    expected = json.loads(WRITTEN.replace("SHA", "b" * 64))
    # The first of each list stands for the others.
    for name in ("differential", "flags"):
        assert len(result[name]) > 1
        result[name] = result[name][:1]
    # Its last digits are the processor's.
    interval = result["differential"][0]["ci95"]
    interval["low"] = round(interval["low"], 6)

    assert json.dumps(result) == json.dumps(expected)


def test_the_schema_file_is_the_schema_that_is_generated() -> None:
    file = Path(smearcount.differential.schema.__file__).with_name(SCHEMA_FILE)
    command = (
        f"python -c 'from smearcount.differential.schema import counts_schema_text as text; print(text(), end=\"\")' "
        f"> differential/{SCHEMA_FILE}"
    )
    assert file.read_text(encoding="utf-8") == counts_schema_text(), f"write it anew: {command}"


def test_the_cells_are_the_eight_classes_in_their_order() -> None:
    names = list(counts_schema()["$defs"][CellsDocument.__name__]["properties"])
    assert names == [cell_class.value for cell_class in CellClass]


SPOILT: list[tuple[tuple[str | int, ...], object]] = [
    (("slide",), None),
    (("status",), "signed"),
    (("model", "sha256"), "B" * 64),
    (("cells", "neutrophil"), -1),
    (("cells", "blast"), 0),
    (("wbc_counted",), 1.5),
    (("differential",), []),
    (("differential", 0, "class"), "platelet"),
    (("differential", 0, "percent"), 100.5),
    (("differential", 0, "ci95", "low"), "0"),
    (("differential", 0, "reference", "low"), None),
    (("differential", 0, "flag"), "normal"),
    (("nrbc_per_100_wbc",), -0.5),
    (("wbc_correction_factor",), 1),
    (("flags", 0, "code"), "high:platelet"),
    (("schema_version",), 1),
    (("flags", 0, "code"), "borderline"),
    (("review_reasons",), [{"code": "rare", "message": "x"}]),
    (("review_reasons",), [{"code": "nrbc", "message": ""}]),
    (("review_reasons",), [{"code": "nrbc", "message": "x"}] * 2),
    (("flags", 0, "message"), ""),
    (("flags", 1), {"code": "incomplete", "message": "still counting: more images may arrive"}),
    (("first_image_at",), "2026-03-01T08:30:00+00:00"),
    (("calls",), "both"),
    (("reviewed_cells",), -1),
    (("automatic",), {"calls": "automatic"}),
    (("remarks",), [{"kind": "comment", "reviewer": "A", "at": "2026-03-01T08:30:00Z", "text": "x"}]),
    (("surprise",), 1),
]


@pytest.mark.parametrize(("place", "value"), SPOILT, ids=str)
def test_the_schema_refuses_what_is_never_written(place: tuple[str | int, ...], value: object) -> None:
    validator = Draft202012Validator(counts_schema())
    result = written()
    validator.validate(result)

    part: Any = result
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    assert not validator.is_valid(result)


def test_only_what_the_command_adds_may_be_missing() -> None:
    schema = counts_schema()

    assert list(schema["properties"])[len(schema["required"]) :] == [
        "reviewed_cells", "automatic", "reviewed", "signed_by", "signed_at", "excluded", "remarks",
    ]  # fmt: skip
    assert list(schema["$defs"]).count("CountsDocument") == 0
    Draft202012Validator.check_schema(schema)


def test_the_schema_names_its_version_and_takes_every_reason_of_a_rule() -> None:
    schema = counts_schema()
    assert (schema["$id"], schema["properties"]["schema_version"]["const"]) == (
        "urn:smearcount:counts:2",
        SCHEMA_VERSION,
    )

    reasons = [{"code": code, "message": "x"} for code in REVIEW_RULES]
    Draft202012Validator(schema).validate(written() | {"review_reasons": reasons})


def shape(schema: dict[str, Any], definitions: dict[str, Any]) -> object:
    """Reduce a schema to what a reader of the JSON relies on: names and their order, types, and what may be null."""
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return sorted((shape(one, definitions) for one in schema["anyOf"]), key=str)
    if "enum" in schema:
        return shape_of_values(schema["enum"])
    if "properties" in schema:
        # What only the command adds is not required, and the API tells it elsewhere.
        required = schema["required"]
        assert required == list(schema["properties"])[: len(required)]
        return {name: shape(schema["properties"][name], definitions) for name in required}
    if "propertyNames" in schema:
        # The API describes the cells as a mapping of the classes.
        assert shape(schema["propertyNames"], definitions) == "string"
        return {cell_class.value: shape(schema["additionalProperties"], definitions) for cell_class in CellClass}
    if schema["type"] == "array":
        return [shape(schema["items"], definitions)]
    return schema["type"]


def shape_of_values(values: list[object]) -> object:
    return ["null", "string"] if None in values else "string"


def test_the_api_answers_with_the_same_document() -> None:
    ours, apis = counts_schema(), CountsAnswer.model_json_schema(mode="serialization")
    shapes: list[Any] = [shape(schema, schema["$defs"]) for schema in (ours, apis)]
    for found in shapes:
        # The API describes a reference range as it does an interval, whose bounds may be null.
        reference = found["differential"][0].pop("reference")
        assert [list(reference[1]), reference[0]] == [["low", "high"], "null"]

    assert json.dumps(shapes[0]) == json.dumps(shapes[1])
    assert CountsAnswer.model_validate(written()).model_dump(mode="json") == written()
