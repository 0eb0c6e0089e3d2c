"""The page with the state of the installation and its quarantined files."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from smearcount.db.queries.quarantine import quarantined
from smearcount.db.queries.usage import cells_per_model
from smearcount.web.api.system import get_system
from smearcount.web.dependencies import TheDiagnostics, ThePerson, TheServices
from smearcount.web.pages.page_auth import LoggedInPerson
from smearcount.web.pages.rendering import page

router = APIRouter(prefix="/system", include_in_schema=False)

#: Quarantined files on a page.
_FILES = 100


@router.get("")
def show_system(
    request: Request,
    person: LoggedInPerson,
    services: TheServices,
    after: Annotated[str | None, Query(max_length=1000)] = None,
) -> HTMLResponse:
    """Show what the command `status` shows, and the quarantined files of all slides."""
    return page(
        request,
        "system.html",
        person,
        system=get_system(services),
        models=cells_per_model(services.database),
        files=quarantined(services.database, after=after, limit=_FILES),
        is_first=after is None,
        now=datetime.now(UTC),
    )


@router.get("/checks")
def show_checks(request: Request, person: LoggedInPerson, diagnostics: TheDiagnostics) -> HTMLResponse:
    """Show the diagnostics of the command `doctor` as somebody last had them made."""
    return page(request, "checks.html", person, findings=diagnostics.last)


@router.post("/checks")
def make_checks(request: Request, person: ThePerson, diagnostics: TheDiagnostics) -> HTMLResponse:
    """Run the diagnostics and show them; takes seconds, and writes a hidden file into each inbox for a moment."""
    return page(request, "checks.html", person, findings=diagnostics.latest())
