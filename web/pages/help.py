"""The page that says which keys there are, what the flags mean, and how a program asks."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from differential.flags import FLAG_MEANINGS
from differential.forms.report_page import LIMITS
from web.pages.rendering import page
from web.pages.visiting import TheViewer

router = APIRouter(include_in_schema=False)


@router.get("/help")
def show_help(request: Request, viewer: TheViewer) -> HTMLResponse:
    """Show it."""
    return page(
        request,
        "help.html",
        viewer,
        flags=FLAG_MEANINGS,
        limits=LIMITS,
        address=str(request.base_url).rstrip("/"),
    )
