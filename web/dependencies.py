"""What a route asks for by its parameters: the database, the settings, and who is asking.

All are coroutines though none waits: a plain function would go through the thread pool, each time for each of them, which
takes longer than all the rest of serving a thumbnail.
"""

import hmac
from typing import Annotated

from fastapi import Depends, Header, Request

from smearcount.db.engine.database import Database
from smearcount.differential.settings import CountSettings
from smearcount.inbox.mounts import Mounts
from smearcount.web.auth.access import CSRF_HEADER, SAFE_METHODS, Access, Person
from smearcount.web.live.diagnostics_cache import Checkup
from smearcount.web.media.thumbnails import Thumbnails
from smearcount.web.problems import Problem
from smearcount.web.services import Facilities


async def facilities(request: Request) -> Facilities:
    """Return what the server was started with."""
    found = request.app.state.facilities
    assert isinstance(found, Facilities)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def access(request: Request) -> Access:
    """Return the rule of who may ask."""
    found = request.app.state.access
    assert isinstance(found, Access)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def database(given: Annotated[Facilities, Depends(facilities)]) -> Database:
    """Return the database."""
    return given.database


async def mounts(given: Annotated[Facilities, Depends(facilities)]) -> Mounts:
    """Return where this machine sees the inboxes."""
    return given.mounts


async def count_settings(given: Annotated[Facilities, Depends(facilities)]) -> CountSettings:
    """Return the settings of the differential."""
    return given.counts


async def thumbnails(request: Request) -> Thumbnails:
    """Return the thumbnails made so far."""
    found = request.app.state.thumbnails
    assert isinstance(found, Thumbnails)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def checkup(request: Request) -> Checkup:
    """Return what looks at everything that a count depends on."""
    found = request.app.state.checkup
    assert isinstance(found, Checkup)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def visitor(request: Request, rule: Annotated[Access, Depends(access)]) -> Person | None:
    """Return who is asking, or None if they have not logged in."""
    return rule.person(request)


async def person(request: Request, known: Annotated[Person | None, Depends(visitor)]) -> Person:
    """Return who is asking; they may see everything.

    Raises:
        Problem: they have to log in first, or change something without the session's token.
    """
    if known is None:
        raise Problem(
            "login-needed", "log in, or send a bearer token", headers={"WWW-Authenticate": 'Bearer realm="smearcount"'}
        )
    if request.method not in SAFE_METHODS and known.csrf_token is not None:
        given = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(given.encode(), known.csrf_token.encode()):
            raise Problem("csrf", f"the header {CSRF_HEADER} must hold the session's token")
    return known


async def reviewer(
    known: Annotated[Person, Depends(person)],
    x_reviewer: Annotated[
        str | None,
        Header(
            description="Name of the person who decides, percent-encoded as UTF-8. Needed where nobody logs in and with "
            "a bearer token; ignored in a session, which knows its user.",
            examples=["A.%20Lab"],
        ),
    ] = None,
) -> str:
    """Return the name of who is asking; they may change things.

    Raises:
        Problem: they may not, or did not say their name.
    """
    del x_reviewer  # read in `Access.person`; named here for the API's description
    if not known.may_review:
        raise Problem("not-allowed", "you may look at everything, but not change it")
    if known.name is None:
        raise Problem("bad-name", "say who decides in the header X-Reviewer")
    return known.name


TheDatabase = Annotated[Database, Depends(database)]
TheMounts = Annotated[Mounts, Depends(mounts)]
TheFacilities = Annotated[Facilities, Depends(facilities)]
TheCountSettings = Annotated[CountSettings, Depends(count_settings)]
TheAccess = Annotated[Access, Depends(access)]
TheCheckup = Annotated[Checkup, Depends(checkup)]
TheThumbnails = Annotated[Thumbnails, Depends(thumbnails)]
TheVisitor = Annotated[Person | None, Depends(visitor)]
ThePerson = Annotated[Person, Depends(person)]
TheReviewer = Annotated[str, Depends(reviewer)]
