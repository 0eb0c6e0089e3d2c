"""The JSON Schema of a slide's counts, for people who read the counts by program."""

import json
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from smearcount.differential.counts_document import CountsDocument

#: The schema as people read it, beside this module: `counts_schema_text`, which a test compares with it.
SCHEMA_FILE = "counts.schema.json"


def counts_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of `CountsDocument.as_json`, a new dictionary at each call."""
    generated = TypeAdapter(CountsDocument).json_schema(
        mode="serialization", by_alias=True, schema_generator=_WithoutFieldTitles
    )
    definitions = generated.pop("$defs")
    head = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": "urn:smearcount:counts",
        "title": "Counts of one slide",
        "description": "What smearcount counted on one slide. For research use only until validated on site. The classes "
        "hold no blast, reactive lymphocyte, smudge cell or artefact: such a cell is in a wrong class or unidentified.",
    }
    return head | generated | head | {"$defs": definitions}


def counts_schema_text() -> str:
    """Return the schema as it stands in the file SCHEMA_FILE."""
    return json.dumps(counts_schema(), indent=2, ensure_ascii=False) + "\n"


class _WithoutFieldTitles(GenerateJsonSchema):
    """Leave out the titles of fields: each would only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False
