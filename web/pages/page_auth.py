"""The person who looks at a page; browsers without a login are redirected to the login page."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.status import HTTP_303_SEE_OTHER

from smearcount.web.auth.access import Person
from smearcount.web.dependencies import OptionalPerson
from smearcount.web.links import prefix


def logged_in_person(request: Request, person: OptionalPerson) -> Person:
    """Return the person who asks, who may read everything.

    Raises:
        HTTPException: a redirect to the login page, which leads back here, because they have not logged in.
    """
    if person is None:
        wanted = prefix() + request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise HTTPException(
            HTTP_303_SEE_OTHER, headers={"Location": f"{prefix()}/login?next={quote(wanted, safe='/')}"}
        )
    return person


LoggedInPerson = Annotated[Person, Depends(logged_in_person)]
