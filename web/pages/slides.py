"""The page with the list of slides."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import Field, model_validator
from starlette.responses import HTMLResponse

from smearcount.db.queries.slides import SlideSort, SlideSummary
from smearcount.differential.classes import WBC_CLASSES, ReviewClass
from smearcount.differential.flags import Flag
from smearcount.differential.review_rules import ReviewReason, review_reasons
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import Status
from smearcount.web.api.slides import SlidesQuery
from smearcount.web.dependencies import TheCountSettings, TheDatabase
from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.parts.bars import StackedBar, stacked_bar
from smearcount.web.pages.parts.labels import CLASSES
from smearcount.web.pages.parts.summary import progress
from smearcount.web.pages.rendering import page
from smearcount.web.queries.slide_search import FLAG_CODES, REVIEW_CODES, search_slides

router = APIRouter(include_in_schema=False)

_SORTS = {
    SlideSort.NEWEST: "newest first",
    SlideSort.OLDEST: "oldest first",
    SlideSort.NAME: "by name",
    SlideSort.NAME_BACKWARDS: "by name, backwards",
}


class SlidesPageQuery(SlidesQuery):
    """Which slides the page's form asks for; empty fields are left out."""

    limit: int = Field(default=50, ge=1, le=200)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value not in {"", None}}

    def address(self, after: str | None) -> str:
        """Return the query string of another page of the same list."""
        given = self.model_dump(mode="json", exclude_defaults=True, exclude={"after"})
        return "?" + urlencode(given | ({} if after is None else {"after": after}))

    @property
    def is_filtered(self) -> bool:
        """Whether some slides are left out."""
        chosen = (self.status, self.flag, self.review, self.since, self.until, self.text, self.inbox, self.withdrawn)
        return any(chosen)


@dataclass(frozen=True, slots=True)
class SlideLine:
    """One slide of the list."""

    slide: SlideSummary
    bar: StackedBar
    flags: tuple[Flag, ...]
    reasons: tuple[ReviewReason, ...]
    #: Images that are classified or quarantined, and all images.
    progress: tuple[int, int]

    @classmethod
    def of(cls, slide: SlideSummary, settings: CountSettings) -> "SlideLine":
        """Return the line of a slide; the flag `incomplete` is left out, because the status says the same."""
        flags = tuple(flag for flag in slide.flags(settings) if flag.code != "incomplete")
        reasons = review_reasons(slide.reviewed, settings)
        return cls(slide, stacked_bar(slide.reviewed.cells), flags, reasons, progress(slide.reviewed))


@router.get("/")
def show_slides(
    request: Request,
    person: LoggedInPerson,
    database: TheDatabase,
    settings: TheCountSettings,
    query: Annotated[SlidesPageQuery, Query()],
) -> HTMLResponse:
    """Show the slides, newest first unless asked otherwise."""
    found = search_slides(database, query.search, settings, after=query.after, limit=query.limit)
    return page(
        request,
        "slides.html",
        person,
        query=query,
        lines=[SlideLine.of(slide, settings) for slide in found.slides],
        older=None if found.next is None else query.address(found.next),
        statuses=list(Status),
        flag_codes=FLAG_CODES,
        review_codes=REVIEW_CODES,
        sorts=_SORTS,
        legend=[CLASSES[ReviewClass(one.value)] for one in WBC_CLASSES],
        ids=",".join(str(slide.id) for slide in found.slides),
    )
