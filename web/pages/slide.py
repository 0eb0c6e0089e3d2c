"""The page of one slide, with its differential, its cells and what people did with it, and the printed report."""

import math
import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from smearcount.db.queries.slides import slide
from smearcount.db.review.lost_calls import lost_calls
from smearcount.db.review.sign_off import slide_events
from smearcount.differential.classes import ReviewClass
from smearcount.differential.forms.examination import Export
from smearcount.differential.forms.report_page import report_page
from smearcount.web.api.slides import SlideId
from smearcount.web.dependencies import TheDatabase, TheServices, TheSigningRules
from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.parts.bars import range_bar
from smearcount.web.pages.parts.gallery import GalleryQuery, Show, contact_sheet, gallery
from smearcount.web.pages.parts.slide_update import SlideUpdate, slide_update
from smearcount.web.pages.parts.summary import Summary
from smearcount.web.pages.rendering import page
from smearcount.web.queries.examinations import examinations
from smearcount.web.schemas.base import LARGEST_ID

router = APIRouter(prefix="/slides/{slide_id}", include_in_schema=False)

#: Rows of cells that fit on the printed page below the table if there are no flags and remarks, and cells in a row.
_SHEET_ROWS, _CELLS_PER_ROW = 15, 16
#: Characters of a remark that fit in a line of the printed page.
_LINE = 110


@router.get("")
def show_slide(
    request: Request,
    slide_id: SlideId,
    person: LoggedInPerson,
    database: TheDatabase,
    rules: TheSigningRules,
    query: Annotated[GalleryQuery, Query()],
) -> HTMLResponse:
    """Show a slide."""
    # The events first, as in `slide_update`.
    events = slide_events(database, slide_id)
    found = slide(database, slide_id)
    return page(
        request,
        "slide.html",
        person,
        summary=Summary(found, rules),
        events=events,
        lost_calls=lost_calls(database, slide_id),
        gallery=gallery(database, slide_id, query),
        shows=list(Show),
    )


@router.get("/news")
def get_update(
    slide_id: SlideId,
    person: LoggedInPerson,
    database: TheDatabase,
    rules: TheSigningRules,
    seen: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
) -> SlideUpdate:
    """Return what brings a page up to date that knows the reviews up to `seen`."""
    return slide_update(database, slide_id, rules, person, seen_review=seen)


@router.get("/report")
def show_report(request: Request, slide_id: SlideId, person: LoggedInPerson, services: TheServices) -> HTMLResponse:
    """Show the report of a slide, which fits on one printed page unless people wrote a great deal."""
    (examined,) = examinations(services.database, [slide_id], services.counts)
    export = Export(key=uuid.uuid4().hex, at=datetime.now(UTC), version=services.version)
    result, printed = examined.reported, report_page(examined, export)
    written = sum(math.ceil(len(text) / _LINE) for text in (*printed.remarks, printed.excluded))
    # A flag is about as high as half a row, and so is a line of a remark.
    rows = _SHEET_ROWS - math.ceil((len(result.flags) + written) / 2)
    groups = gallery(services.database, slide_id, GalleryQuery()).groups
    return page(
        request,
        "report.html",
        person,
        report=printed,
        bars_of=[range_bar(row) for row in result.differential],
        sheet=contact_sheet(groups, rows=rows, per_row=_CELLS_PER_ROW),
        totals={**result.cells, ReviewClass.UNIDENTIFIED: result.unidentified},
    )
