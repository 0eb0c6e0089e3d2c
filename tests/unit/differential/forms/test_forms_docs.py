"""The page on exports shows what the code writes, and names every column, code and property."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from smearcount.differential.forms import codes
from smearcount.differential.forms.codes import Code
from smearcount.differential.forms.fhir import bundle
from smearcount.differential.forms.hl7 import oru
from smearcount.differential.forms.schema import examination_schema
from smearcount.differential.forms.spreadsheet import EXAMINATION_COLUMNS, examinations_csv

from support.examining import EXPORT, REMARKS, signed

#: The slide of the examples.
SHOWN = signed(remarks=REMARKS)

PAGE = (Path(__file__).parents[4] / "docs" / "exports.md").read_text(encoding="utf-8")

#: The examples, by what they are in.
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

LOINC_CODES = [codes.PANEL, *codes.PERCENTS.values(), codes.NRBC]
OWN_CODES = [
    *codes.COUNTS.values(),
    codes.WBC_COUNTED,
    codes.WBC_CORRECTION,
    codes.PLATELETS,
    codes.UNIDENTIFIED,
    codes.REVIEWED_CELLS,
    codes.EXCLUDED_CELLS,
    codes.BEFORE_REVIEW,
]


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def is_part_of(shown: Any, whole: Any) -> bool:
    """Whether an object shown has only properties of the whole one, with the same values."""
    return all(name in whole and whole[name] == value for name, value in shown.items())


def test_every_column_stands_there_with_its_value() -> None:
    row = list(csv.DictReader(io.StringIO(examinations_csv(SHOWN), newline="")))[8]
    shown = re.findall(r"^\| `([a-z0-9_]+)` \| (.*?) ?\| ", PAGE, re.MULTILINE)

    assert shown[: len(EXAMINATION_COLUMNS)] == list(row.items())


def test_the_json_is_what_the_code_writes() -> None:
    shown = json.loads(blocks("json")[0].replace("{...}", "{}"))
    written = SHOWN.as_json(EXPORT)

    assert shown == written | {"automatic": {}, "reviewed": {}}
    assert set(shown) == set(examination_schema()["properties"])


def test_the_fhir_resources_are_parts_of_what_the_code_writes() -> None:
    resources = [entry["resource"] for entry in bundle(SHOWN, EXPORT)["entry"]]
    shown = [json.loads(block) for block in blocks("json")[1:]]

    assert [each["resourceType"] for each in shown] == ["DiagnosticReport", "Observation"]
    for each in shown:
        assert any(is_part_of(each, resource) for resource in resources)


def test_the_hl7_segments_are_segments_of_the_message_in_order() -> None:
    (block,) = blocks("hl7")
    segments = iter(oru(SHOWN, EXPORT).split("\r"))

    for line in block.splitlines():
        assert any(line == segment for segment in segments), line


@pytest.mark.parametrize("code", LOINC_CODES, ids=lambda code: code.code)
def test_every_loinc_code_stands_there_with_its_name(code: Code) -> None:
    assert f"| {code.code} | {code.display} |" in PAGE


@pytest.mark.parametrize("code", OWN_CODES, ids=lambda code: code.code)
def test_every_code_of_our_own_stands_there_with_its_name(code: Code) -> None:
    assert f"| `{code.code}` | {code.display} |" in PAGE
