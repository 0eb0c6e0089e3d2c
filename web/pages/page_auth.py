"""Who looks at a page: whoever has not logged in is led to where they can."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.status import HTTP_303_SEE_OTHER

from smearcount.web.auth.access import Person
from smearcount.web.dependencies import OptionalPerson


def logged_in_person(request: Request, person: OptionalPerson) -> Person:
    """Return who is asking; they may see everything.

    Raises:
        HTTPException: they have to log in first, at the page that it redirects to.
    """
    if person is None:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise HTTPException(HTTP_303_SEE_OTHER, headers={"Location": f"/login?next={quote(wanted, safe='/')}"})
    return person


LoggedInPerson = Annotated[Person, Depends(logged_in_person)]
