"""The page of one slide: its differential, its cells, and what people did with it; and the same on paper."""

import math
import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import HTMLResponse

from smearcount.db.queries.slides import slide
from smearcount.db.review.reviews import slide_history
from smearcount.db.review.sign_off import slide_events
from smearcount.differential.classes import ReviewClass
from smearcount.differential.forms.examination import Export
from smearcount.differential.forms.report_page import report_page
from smearcount.web.api.examinations import examinations
from smearcount.web.api.slides import SlideId
from smearcount.web.dependencies import TheCountSettings, TheDatabase, TheFacilities
from smearcount.web.pages.page_auth import TheViewer
from smearcount.web.pages.parts.bars import range_bar
from smearcount.web.pages.parts.gallery import GalleryQuery, Show, contact_sheet, gallery
from smearcount.web.pages.parts.summary import Summary
from smearcount.web.pages.rendering import fill, page
from smearcount.web.schemas.base import LARGEST_ID, Answer
from smearcount.web.schemas.reviews import ReviewAnswer

router = APIRouter(prefix="/slides/{slide_id}", include_in_schema=False)

#: Rows of cells that fit on the printed page below the table where there are no flags, and cells in a row.
_SHEET_ROWS, _CELLS_PER_ROW = 15, 16


class News(Answer):
    """What a page that is open needs to be as if it were opened now."""

    #: The parts beside the gallery, each with its id, as they are now.
    html: str
    #: Reviews that it did not know, oldest first.
    reviews: list[ReviewAnswer]
    last_review: int = Field(description="The newest review; 0 if there is none.")
    #: See `Summary.images_state`; where it is another one, the gallery is to be read anew.
    images: str


@router.get("")
def show_slide(
    request: Request,
    slide_id: SlideId,
    viewer: TheViewer,
    database: TheDatabase,
    settings: TheCountSettings,
    query: Annotated[GalleryQuery, Query()],
) -> HTMLResponse:
    """Show a slide."""
    found = slide(database, slide_id)
    return page(
        request,
        "slide.html",
        viewer,
        summary=Summary(found, settings),
        events=slide_events(database, slide_id),
        gallery=gallery(database, slide_id, query),
        shows=list(Show),
    )


@router.get("/news")
def get_news(
    slide_id: SlideId,
    viewer: TheViewer,
    database: TheDatabase,
    settings: TheCountSettings,
    seen: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
) -> News:
    """Return what has changed since a page was opened that knew the reviews up to `seen`."""
    found = slide(database, slide_id)
    last = found.last_review_id or 0
    unseen = slide_history(database, slide_id) if last > seen else []
    summary = Summary(found, settings)
    return News(
        html=fill("parts/summary.html", summary=summary, events=slide_events(database, slide_id), person=viewer),
        reviews=[ReviewAnswer.of(review) for review in unseen if review.id > seen],
        last_review=last,
        images=summary.images_state,
    )


@router.get("/report")
def show_report(request: Request, slide_id: SlideId, viewer: TheViewer, given: TheFacilities) -> HTMLResponse:
    """Show the report of a slide, to be printed on one page."""
    (examined,) = examinations(given.database, [slide_id], given.counts)
    export = Export(key=uuid.uuid4().hex, at=datetime.now(UTC), version=given.version)
    result = examined.reported
    # Each flag takes about half a row.
    rows = _SHEET_ROWS - math.ceil(len(result.flags) / 2)
    groups = gallery(given.database, slide_id, GalleryQuery()).groups
    return page(
        request,
        "report.html",
        viewer,
        report=report_page(examined, export),
        bars_of=[range_bar(row) for row in result.differential],
        sheet=contact_sheet(groups, rows=rows, per_row=_CELLS_PER_ROW),
        totals={**result.cells, ReviewClass.UNIDENTIFIED: result.unidentified},
    )
