"""Routes that export results to other systems: one slide or many, as CSV, JSON, FHIR R4 or HL7 v2."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from smearcount.differential.forms import fhir, hl7
from smearcount.differential.forms.examination import Export, SlideExamination
from smearcount.differential.forms.spreadsheet import examinations_csv, for_excel
from smearcount.web.api.slides import SlideId
from smearcount.web.dependencies import TheServices, person
from smearcount.web.problems import described
from smearcount.web.queries.examinations import examinations
from smearcount.web.services import Services

router = APIRouter(tags=["export"], dependencies=[Depends(person)])

#: Most slides in one export.
MOST_SLIDES: Final = 200


class Form(StrEnum):
    """In which form results are sent."""

    CSV = "csv"
    CSV_EXCEL = "csv-excel"
    JSON = "json"
    FHIR = "fhir"
    HL7 = "hl7"


#: Media type of one slide, media type of several, and the end of the file's name.
_TYPES: Final[dict[Form, tuple[str, str, str]]] = {
    Form.CSV: ("text/csv; charset=utf-8", "text/csv; charset=utf-8", "csv"),
    Form.CSV_EXCEL: ("text/csv; charset=utf-8", "text/csv; charset=utf-8", "csv"),
    Form.JSON: ("application/json", "application/json", "json"),
    Form.FHIR: ("application/fhir+json", "application/fhir+ndjson", "fhir.json"),
    Form.HL7: ("x-application/hl7-v2+er7; charset=utf-8", "x-application/hl7-v2+er7; charset=utf-8", "hl7"),
}

_FORM_DESCRIPTION: Final = (
    "All forms tell what people wrote and excluded. `csv`: a row per class, automatic and reviewed; `csv-excel`: the same "
    "with the mark by which Excel knows UTF-8. `json`: as "
    "examination.schema.json describes it. `fhir`: a FHIR R4 "
    "Bundle with a DiagnosticReport, `partial` until the slide is signed, then `final` (LOINC, UCUM, intervals, model "
    "and device in it). `hl7`: an HL7 v2.5.1 ORU^R01 message, in UTF-8."
)

WhichForm = Annotated[Form, Query(description=_FORM_DESCRIPTION)]


def _also(*types: str) -> dict[int | str, dict[str, Any]]:
    contents = {
        one: {"schema": {} if one.endswith("json") else {"type": "string"}} for one in ("application/json", *types)
    }
    return {200: {"description": "The result in the form asked for.", "content": contents}}


@router.get(
    "/slides/{slide_id}/export",
    summary="Export one slide",
    response_class=Response,
    responses={
        **_also("text/csv", "application/fhir+json", "x-application/hl7-v2+er7"),
        **described("unknown-slide", "review-refused"),
    },
)
def export_slide(slide_id: SlideId, services: TheServices, form: WhichForm = Form.JSON) -> Response:
    """Return a slide's result with both counts, the review and the signature."""
    found, export = _found(services, [slide_id])
    media_type, _, ending = _TYPES[form]
    return _file(_one(found[0], export, form), media_type, f"slide-{slide_id}.{ending}")


@router.get(
    "/export",
    summary="Export many slides",
    response_class=Response,
    responses={
        **_also("text/csv", "application/fhir+ndjson", "x-application/hl7-v2+er7"),
        **described("unknown-slide", "review-refused"),
    },
)
def export_slides(
    services: TheServices,
    slides: Annotated[
        str,
        Query(
            pattern=rf"^[0-9]{{1,18}}(,[0-9]{{1,18}}){{0,{MOST_SLIDES - 1}}}$",
            description=f"Ids of up to {MOST_SLIDES} slides, separated by commas.",
            examples=["1,2"],
        ),
    ],
    form: WhichForm = Form.JSON,
) -> Response:
    """Return several slides' results: a CSV table, a JSON array, a FHIR Bundle per line, or one HL7 batch."""
    found, export = _found(services, [int(one) for one in slides.split(",")])
    _, media_type, ending = _TYPES[form]
    return _file(_many(found, export, form), media_type, f"slides.{ending.replace('fhir.json', 'fhir.ndjson')}")


def _found(services: Services, slide_ids: Sequence[int]) -> tuple[list[SlideExamination], Export]:
    export = Export(key=uuid.uuid4().hex, at=datetime.now(UTC), version=services.version)
    return examinations(services.database, slide_ids, services.counts), export


def _one(slide: SlideExamination, export: Export, form: Form) -> str:
    match form:
        case Form.CSV:
            return examinations_csv(slide)
        case Form.CSV_EXCEL:
            return for_excel(examinations_csv(slide))
        case Form.JSON:
            return _json(slide.as_json(export))
        case Form.FHIR:
            return _json(fhir.bundle(slide, export))
        case Form.HL7:
            return hl7.oru(slide, export)


def _many(slides: Sequence[SlideExamination], export: Export, form: Form) -> str:
    match form:
        case Form.CSV:
            return examinations_csv(*slides)
        case Form.CSV_EXCEL:
            return for_excel(examinations_csv(*slides))
        case Form.JSON:
            return _json([slide.as_json(export) for slide in slides])
        case Form.FHIR:
            return fhir.bundles_ndjson(slides, export)
        case Form.HL7:
            return hl7.batch(slides, export)


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def _file(content: str, media_type: str, name: str) -> Response:
    # The file's name is made of ids: a slide's name comes from a folder and may hold anything.
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
