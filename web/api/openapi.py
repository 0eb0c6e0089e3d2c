"""The OpenAPI document: the parts that no operation describes by itself."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from smearcount.web.auth.access import SESSION_COOKIE
from smearcount.web.problems import MEDIA_TYPE, ProblemDetails

DESCRIPTION: Final = """
Differential counts of blood-smear slides: read them, look at the cells behind them, correct and sign them.
**For research use until your site has validated it.**

* **Numbers.** Percentages are of the WBC counted and never rounded; intervals are exact (Clopper-Pearson) 95 % intervals.
  Erythroblasts are given per 100 WBC, platelets and unidentified cells as numbers: they are in no denominator.
* **Two counts.** `automatic` goes by the model's calls alone, `reviewed` by a person's where there is one. A person's call
  never overwrites the model's; every call keeps who, when, from, to and why.
* **Times** are ISO 8601 in UTC.
* **Pages.** Lists come page by page. Follow `next`, or the header `Link` with `rel="next"`; lines that come or go meanwhile
  shift nothing. Every list is also had as CSV with `format=csv`.
* **Problems.** Whatever goes wrong is answered with `application/problem+json` (RFC 9457); its `type` is a path that explains
  it. See `/problems`.
* **Who.** Where nobody logs in (on this machine alone), changes need the reviewer's name in the header `X-Reviewer`.
  Elsewhere programs send `Authorization: Bearer` and people log in at `/api/v1/session`; the changes of a session also
  need its token in the header `X-CSRF-Token`.
* **Live.** `/api/v1/changes` streams the ids of slides as they change.
""".strip()

TAGS: Final = [
    {"name": "slides", "description": "Slides, their differentials and their images."},
    {"name": "cells", "description": "One image: its call, its history, its picture."},
    {"name": "review", "description": "Reclassify, undo, comment, sign and reopen. Nothing is ever overwritten."},
    {"name": "export", "description": "Results for other systems: CSV, JSON, FHIR R4, HL7 v2."},
    {"name": "quarantine", "description": "Files that could not be used."},
    {"name": "deliveries", "description": "What is sent to other systems by itself."},
    {"name": "changes", "description": "What changes, live."},
    {"name": "system", "description": "How the installation is doing, and how the cells of each day looked."},
    {"name": "session", "description": "Logging in and out."},
    {"name": "health", "description": "For whoever runs it."},
    {"name": "problems", "description": "What the kinds of problems mean."},
]

#: Paths that need no login.
_PUBLIC: Final = ("/healthz", "/readyz", "/problems", "/problems/{kind}", "/api/v1/session")

_ANY_PROBLEM: Final = {
    "description": "Any other problem, such as 404 for a path that leads nowhere, 405, 413 or 503.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
}


def openapi_document(application: FastAPI, *, is_open: bool) -> dict[str, Any]:
    """Return the OpenAPI document of an application; `is_open` means that nobody logs in."""
    made = get_openapi(
        title="smearcount",
        version=application.version,
        summary="Differential counts of blood smears: see them, question them, correct them.",
        description=DESCRIPTION,
        tags=TAGS,
        routes=application.routes,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    made["components"]["schemas"] |= schema.pop("$defs", {}) | {"ProblemDetails": schema}
    for path, operations in made["paths"].items():
        for operation in operations.values():
            operation["responses"]["default"] = _ANY_PROBLEM
            if path in _PUBLIC:
                operation["security"] = []
    if not is_open:
        made["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "For programs."},
            "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE, "description": "For browsers."},
        }
        made["security"] = [{"token": []}, {"session": []}]
    return made
