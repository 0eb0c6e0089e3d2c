"""The JSON Schema of an exported examination, for people who read exports by program."""

import json
from importlib.resources import files
from typing import Any

from smearcount.differential.schema import counts_schema

SCHEMA_FILE = "examination.schema.json"


def examination_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema, draft 2020-12) of `SlideExamination.as_json`, a new dictionary at each call.

    It contains the schema of the counts, so that a validator has nothing to fetch.
    """
    text = files("smearcount.differential.forms").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    schema["$defs"]["counts"] = counts_schema()
    return schema
