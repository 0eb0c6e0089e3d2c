"""The JSON Schema of a slide's counts, for those who read them by program."""

import json
from importlib.resources import files
from typing import Any

SCHEMA_FILE = "counts.schema.json"


def counts_schema_text() -> str:
    """Return the schema (JSON Schema, draft 2020-12) of `SlideReport.as_json` as it is shipped."""
    return files("smearcount.differential").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")


def counts_schema() -> dict[str, Any]:
    """Return the schema parsed, a new dictionary at each call."""
    schema: dict[str, Any] = json.loads(counts_schema_text())
    return schema
