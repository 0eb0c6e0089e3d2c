"""The login page; its script sends what is typed to the API."""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from smearcount.web.dependencies import OptionalPerson, TheAccess
from smearcount.web.links import prefix
from smearcount.web.pages.rendering import page

router = APIRouter(include_in_schema=False)


@router.get("/login")
def show_login(request: Request, person: OptionalPerson, access: TheAccess) -> Response:
    """Show a form for name and password, or for name and token if there are no users."""
    if access.is_open:
        return RedirectResponse(f"{prefix()}/", status_code=303)
    return page(request, "login.html", person, has_users=access.has_users)
