"""The description of the API as a page: made of the OpenAPI document, here, without anything from the internet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.rendering import page

router = APIRouter(include_in_schema=False)

_SCHEMAS = "#/components/schemas/"


@dataclass(frozen=True)
class Value:
    """A parameter, or a member of a JSON object."""

    name: str
    kind: str
    description: str
    is_required: bool
    #: Where a parameter stands: path, query, header.
    place: str = ""


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[Value] = field(default_factory=list)
    body: list[Value] = field(default_factory=list)
    #: Status, what it means, and the name of the schema of its JSON, if it has one.
    responses: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """The operations of one tag."""

    name: str
    description: str
    operations: list[Operation]


@router.get("/docs")
def show_docs(request: Request, person: LoggedInPerson) -> HTMLResponse:
    """Show every operation of the API, and the JSON objects that it takes and gives."""
    document = request.app.openapi()
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    return page(
        request,
        "api.html",
        person,
        introduction=str(document["info"]["description"]).replace("* **", "**").replace("**", "").splitlines(),
        groups=list(groups(document)),
        objects={name: members(schema, schemas) for name, schema in sorted(schemas.items())},
    )


def groups(document: Mapping[str, Any]) -> Iterator[Group]:
    """Yield the tags of an OpenAPI document in its order, with their operations."""
    schemas = document["components"]["schemas"]
    for tag in document["tags"]:
        operations = [
            _operation(method, path, operation, schemas)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if tag["name"] in operation.get("tags", ())
        ]
        if operations:
            yield Group(tag["name"], tag["description"], operations)


def members(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[Value]:
    """Return the members of the JSON object that a schema describes; none if it describes something else."""
    found = _resolved(schema, schemas)
    required = set(found.get("required", ()))
    return [
        Value(name, kind_of(one), str(one.get("description", "")), name in required)
        for name, one in found.get("properties", {}).items()
    ]


def kind_of(schema: Mapping[str, Any]) -> str:
    """Return what a schema allows in words: integer, list of SlideAnswer, string or null."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_SCHEMAS)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(kind_of(one) for one in schema[several]))
    if "enum" in schema or "const" in schema:
        return " | ".join(str(one) for one in schema.get("enum", [schema.get("const")]))
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind_of(schema['additionalProperties'])}"
    return f"{kind} ({schema['format']})" if "format" in schema else kind


def _operation(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Operation:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return Operation(
        method.upper(),
        path,
        operation.get("summary", ""),
        operation.get("description", ""),
        [
            Value(
                one["name"], kind_of(one.get("schema", {})), str(one.get("description", "")), one["required"], one["in"]
            )
            for one in operation.get("parameters", ())
        ],
        members(body, schemas),
        [
            (status, answer.get("description", ""), _schema_of(answer))
            for status, answer in operation["responses"].items()
        ],
    )


def _schema_of(answer: Mapping[str, Any]) -> str:
    content = answer.get("content", {}).get("application/json", {})
    return kind_of(content["schema"]) if "schema" in content else ""


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(schema.get("$ref", "")).removeprefix(_SCHEMAS)
    found: Mapping[str, Any] = schemas.get(name, schema)
    return found
