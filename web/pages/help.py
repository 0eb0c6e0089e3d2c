"""The help page: the keys, the meanings of the flags and the review rules, and how programs use the API."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from smearcount.differential.flags import FLAG_MEANINGS
from smearcount.differential.forms.report_page import LIMITS
from smearcount.differential.review_rules import REVIEW_RULES
from smearcount.web.links import prefix
from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.rendering import page

router = APIRouter(include_in_schema=False)


@router.get("/help")
def show_help(request: Request, person: LoggedInPerson) -> HTMLResponse:
    """Show the help."""
    return page(
        request,
        "help.html",
        person,
        flags=FLAG_MEANINGS,
        rules=REVIEW_RULES,
        limits=LIMITS,
        address=str(request.base_url).rstrip("/") + prefix(),
    )
