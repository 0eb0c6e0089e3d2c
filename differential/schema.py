"""The JSON Schema of a slide's counts, for people who read the counts by program."""

import json
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from smearcount.differential.counts_document import SCHEMA_VERSION, CountsDocument, SlideCountsDocument

#: The schema as people read it, beside this module: `counts_schema_text`, which a test compares with it.
SCHEMA_FILE = "counts.schema.json"


def counts_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a slide's counts, a new dictionary at each call.

    It describes `SlideCountsDocument.as_json` and, since the members that only this one has are not required,
    `CountsDocument.as_json` as well. So the counts within the counts are described by the schema itself.
    """
    generated = TypeAdapter(SlideCountsDocument).json_schema(
        mode="serialization", by_alias=True, schema_generator=_WithoutFieldTitles
    )
    definitions = generated.pop("$defs")
    del definitions[CountsDocument.__name__]
    _refer_to_the_whole(generated, f"#/$defs/{CountsDocument.__name__}")
    generated["required"] = [field.name for field in fields(CountsDocument)]
    head = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:smearcount:counts:{SCHEMA_VERSION}",
        "title": "Counts of one slide",
        "description": "What smearcount counted on one slide. For research use only until validated on site. The classes "
        "hold no blast, reactive lymphocyte, smudge cell or artefact: such a cell is in a wrong class or unidentified.",
    }
    return head | generated | head | {"$defs": definitions}


def counts_schema_text() -> str:
    """Return the schema as it stands in the file SCHEMA_FILE."""
    return json.dumps(counts_schema(), indent=2, ensure_ascii=False) + "\n"


def _refer_to_the_whole(part: object, reference: str) -> None:
    """Make a reference to one of the definitions one to the whole schema, wherever it stands in a part of it."""
    if isinstance(part, dict):
        if part.get("$ref") == reference:
            part["$ref"] = "#"
        for inner in part.values():
            _refer_to_the_whole(inner, reference)
    elif isinstance(part, list):
        for inner in part:
            _refer_to_the_whole(inner, reference)


class _WithoutFieldTitles(GenerateJsonSchema):
    """Leave out the titles of fields: each would only repeat the field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False
