"""Who looks at a page: whoever has not logged in is led to where they can."""

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.status import HTTP_303_SEE_OTHER

from smearcount.web.auth.access import Person
from smearcount.web.dependencies import TheVisitor


def viewer(request: Request, known: TheVisitor) -> Person:
    """Return who is asking; they may see everything.

    Raises:
        HTTPException: they have to log in first, at the page that it redirects to.
    """
    if known is None:
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise HTTPException(HTTP_303_SEE_OTHER, headers={"Location": f"/login?next={quote(wanted, safe='/')}"})
    return known


TheViewer = Annotated[Person, Depends(viewer)]
