"""Routes of slides: the list, one slide, its differentials and its cells."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AfterValidator, Field

from smearcount.db.delivery.outbox import SIGNING, changed_slides
from smearcount.db.engine.database import Database
from smearcount.db.queries.cells import cells
from smearcount.db.queries.slides import SlideFilter, SlidePage, SlideSort, slide, slide_page
from smearcount.db.review.lost_calls import lost_calls
from smearcount.db.review.sign_off import slide_events
from smearcount.db.schema import ImageState
from smearcount.differential.classes import ReviewClass
from smearcount.differential.forms.spreadsheet import csv_text, examinations_csv, rows_csv
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import Status
from smearcount.web.dependencies import TheCountSettings, TheDatabase, TheServices, TheSigningRules, person
from smearcount.web.problems import Problem, described
from smearcount.web.queries.examinations import examinations
from smearcount.web.queries.slide_search import FLAG_CODES, REVIEW_CODES, SlideSearch, search_slides
from smearcount.web.schemas.base import LARGEST_ID
from smearcount.web.schemas.cells import CELL_COLUMNS, CellAnswer, CellList, cell_rows
from smearcount.web.schemas.days import Day, end_of, start_of
from smearcount.web.schemas.slides import (
    SLIDE_COLUMNS,
    DifferentialAnswer,
    SlideAnswer,
    SlideDetail,
    SlideList,
    slide_rows,
)
from smearcount.web.schemas.tables import ALSO_CSV, FormatQuery, PageQuery, csv_answer, link_next

router = APIRouter(prefix="/slides", tags=["slides"], dependencies=[Depends(person)])

#: Most slides, and most cells of a slide, on a page.
LARGEST_PAGE, LARGEST_GALLERY = 200, 2000

SlideId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="Id of the slide.", examples=[1])]


def _known_flag(code: str) -> str:
    if code not in FLAG_CODES:
        raise ValueError("no such flag; docs/reference.md lists them")
    return code


def _known_reason(code: str) -> str:
    if code not in REVIEW_CODES:
        raise ValueError("no such rule; docs/reference.md lists them")
    return code


class SlidesQuery(PageQuery):
    """The query of a list of slides."""

    status: Status | None = Field(default=None, description="Only slides that have come so far.")
    flag: Annotated[str, AfterValidator(_known_flag)] | None = Field(
        default=None,
        description="Only slides with this flag, by their reviewed numbers. A page may then hold fewer slides than `limit`, "
        "even none, and still name a next one.",
        json_schema_extra={"enum": [*FLAG_CODES, None]},
    )
    review: Annotated[str, AfterValidator(_known_reason)] | None = Field(
        default=None,
        description="Only slides that ask for a person by this rule, or by `any`; pages as with `flag`.",
        json_schema_extra={"enum": [*REVIEW_CODES, None]},
    )
    since: Day | None = Field(default=None, description="First image on this day (UTC) or later.")
    until: Day | None = Field(default=None, description="First image on this day (UTC) or earlier.")
    text: str | None = Field(default=None, max_length=200, description="Part of the slide's name, in capitals or not.")
    inbox: str | None = Field(default=None, max_length=4096, description="Name of an inbox.")
    withdrawn: bool = Field(default=False, description="Only withdrawn slides, which are left out otherwise.")
    sort: SlideSort = Field(default=SlideSort.NEWEST, description="By the time of the first image, or by name.")
    limit: int = Field(default=50, ge=1, le=LARGEST_PAGE, description="Most slides on the page.")
    changed_since: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_ID,
        description="Only slides that were completed, reviewed, commented on, signed, reopened, withdrawn or restored after "
        "this `cursor` of an earlier answer, oldest change first, withdrawn ones too; 0 for all. The cursor stays good for "
        "ever. Goes with `limit` and `format` alone.",
    )
    signed_since: int | None = Field(
        default=None,
        ge=0,
        le=LARGEST_ID,
        description="As `changed_since`, but only slides that were signed, reopened, withdrawn or restored.",
    )

    @property
    def mixes_cursor(self) -> bool:
        """Whether it asks for what has changed, and for something else besides."""
        others = self.model_fields_set - {"changed_since", "signed_since", "limit", "format"}
        given = {self.changed_since, self.signed_since} - {None}
        return bool(given) and (bool(others) or None not in {self.changed_since, self.signed_since})

    @property
    def search(self) -> SlideSearch:
        """The search that the query describes."""
        where = SlideFilter(
            status=self.status,
            since=start_of(self.since) if self.since is not None else None,
            until=end_of(self.until) if self.until is not None else None,
            text=self.text,
            inbox=self.inbox,
            withdrawn=self.withdrawn,
        )
        return SlideSearch(where, self.sort, self.flag, self.review)


class CellsQuery(PageQuery):
    """The query of a list of a slide's images."""

    cell_class: ReviewClass | None = Field(
        default=None,
        alias="class",
        description="Only counted cells that are now in this class, or `unidentified`.",
    )
    state: list[ImageState] = Field(
        default=[], max_length=6, description="Only images in these states; may be given more than once."
    )
    below: float | None = Field(
        default=None, ge=0, le=1, description="Only cells that the model called with less confidence than this."
    )
    reviewed: bool = Field(default=False, description="Only cells that a person has called.")
    limit: int = Field(default=200, ge=1, le=LARGEST_GALLERY, description="Most images on the page.")


@router.get(
    "",
    summary="List slides",
    responses={**ALSO_CSV, **described("unknown-page", "cursor-alone")},
    response_model=SlideList,
)
def list_slides(
    request: Request,
    response: Response,
    database: TheDatabase,
    settings: TheCountSettings,
    query: Annotated[SlidesQuery, Query()],
) -> SlideList | Response:
    """List slides with their reviewed numbers, newest first unless asked otherwise; follow `next` for more."""
    cursor, page = _page(database, settings, query)
    if query.format.is_csv:
        answer = csv_answer(
            rows_csv(slide_rows(page.slides, settings), SLIDE_COLUMNS), name="slides", form=query.format
        )
        link_next(request, answer, page.next)
        if cursor is not None:
            answer.headers["X-Cursor"] = str(cursor)
        return answer
    link_next(request, response, page.next)
    return SlideList(slides=[SlideAnswer.of(one, settings) for one in page.slides], next=page.next, cursor=cursor)


def _page(database: Database, settings: CountSettings, query: SlidesQuery) -> tuple[int | None, SlidePage]:
    """Return a page of slides, and for those that have changed since a cursor also the next one."""
    if query.mixes_cursor:
        raise Problem("cursor-alone", "changed_since or signed_since goes with limit and format alone")
    since = query.changed_since if query.signed_since is None else query.signed_since
    if since is None:
        return None, search_slides(database, query.search, settings, after=query.after, limit=query.limit)
    kinds = SIGNING if query.changed_since is None else ()
    changed = changed_slides(database, after=since, limit=query.limit, kinds=kinds)
    found = slide_page(database, SlideFilter(ids=changed.slides), limit=query.limit) if changed.slides else None
    by_id = {} if found is None else {one.id: one for one in found.slides}
    # A slide whose files belong to another one since its folder was renamed is none any more.
    return changed.cursor, SlidePage([by_id[one] for one in changed.slides if one in by_id], None)


@router.get("/{slide_id}", summary="One slide", responses=described("unknown-slide"))
def get_slide(slide_id: SlideId, database: TheDatabase, rules: TheSigningRules) -> SlideDetail:
    """Return a slide with both differentials, its flags, what stands in the way of a signature, and what people did."""
    found = slide(database, slide_id)
    return SlideDetail.made(found, rules, slide_events(database, slide_id), lost_calls(database, slide_id))


@router.get(
    "/{slide_id}/differential",
    summary="The differentials of a slide",
    responses={**ALSO_CSV, **described("unknown-slide")},
    response_model=DifferentialAnswer,
)
def get_differential(
    slide_id: SlideId, services: TheServices, query: Annotated[FormatQuery, Query()]
) -> DifferentialAnswer | Response:
    """Return the automatic and the reviewed differential side by side, with exact 95 % intervals.

    As CSV, a row per class: the automatic count, and once more the reviewed one where a person has called a cell.
    """
    if query.format.is_csv:
        table = examinations_csv(*examinations(services.database, [slide_id], services.counts))
        return csv_answer(table, name=f"slide-{slide_id}-differential", form=query.format)
    return DifferentialAnswer.of(slide(services.database, slide_id), services.counts)


@router.get(
    "/{slide_id}/cells",
    summary="The images of a slide",
    responses={**ALSO_CSV, **described("unknown-slide", "unknown-page")},
    response_model=CellList,
)
def list_cells(
    request: Request,
    response: Response,
    slide_id: SlideId,
    database: TheDatabase,
    query: Annotated[CellsQuery, Query()],
) -> CellList | Response:
    """List a slide's images: what is unidentified first, then class by class, the least certain first in each.

    Overwritten files are listed only when asked for with `state=superseded`.
    """
    page = cells(
        database,
        slide_id,
        cell_class=query.cell_class,
        states=query.state,
        below=query.below,
        reviewed_only=query.reviewed,
        after=query.after,
        limit=query.limit,
    )
    if query.format.is_csv:
        answer = csv_answer(
            csv_text(CELL_COLUMNS, cell_rows(page.cells)), name=f"slide-{slide_id}-cells", form=query.format
        )
        link_next(request, answer, page.next)
        return answer
    link_next(request, response, page.next)
    return CellList(cells=[CellAnswer.of(cell) for cell in page.cells], next=page.next)
