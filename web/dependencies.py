"""The dependencies that routes declare as parameters: the database, the settings, and the person who asks.

All are coroutines although none of them waits. FastAPI would run each plain function in its thread pool, for every
request, which takes longer than all the rest of serving a thumbnail.
"""

import hmac
from typing import Annotated

from fastapi import Depends, Header, Request

from smearcount.db.engine.database import Database
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SigningRules
from smearcount.inbox.mounts import Mounts
from smearcount.web.auth.access import CSRF_HEADER, SAFE_METHODS, Access, Person
from smearcount.web.media.decoding import Decoding
from smearcount.web.media.thumbnails import Thumbnails
from smearcount.web.monitoring.diagnostics_cache import DiagnosticsCache
from smearcount.web.problems import Problem
from smearcount.web.services import Services


async def services(request: Request) -> Services:
    """Return the services that the server was started with."""
    found = request.app.state.services
    assert isinstance(found, Services)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def access(request: Request) -> Access:
    """Return the access rules."""
    found = request.app.state.access
    assert isinstance(found, Access)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def database(services: Annotated[Services, Depends(services)]) -> Database:
    """Return the database."""
    return services.database


async def mounts(services: Annotated[Services, Depends(services)]) -> Mounts:
    """Return where this machine has the inboxes mounted."""
    return services.mounts


async def count_settings(services: Annotated[Services, Depends(services)]) -> CountSettings:
    """Return the settings of the differential."""
    return services.counts


async def signing_rules(services: Annotated[Services, Depends(services)]) -> SigningRules:
    """Return what signatures are given by: the settings of the differential, the site's policy, and the version."""
    return services.signing


async def thumbnails(request: Request) -> Thumbnails:
    """Return the cache of thumbnails."""
    found = request.app.state.thumbnails
    assert isinstance(found, Thumbnails)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def decoding(request: Request) -> Decoding:
    """Return where images are decoded."""
    found = request.app.state.decoding
    assert isinstance(found, Decoding)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def diagnostics(request: Request) -> DiagnosticsCache:
    """Return the cache of the installation's diagnostics."""
    found = request.app.state.diagnostics
    assert isinstance(found, DiagnosticsCache)  # noqa: S101 (for the type checker: make_application sets it)
    return found


async def optional_person(request: Request, access: Annotated[Access, Depends(access)]) -> Person | None:
    """Return the person who asks; None if they have not logged in."""
    return access.person(request)


async def person(request: Request, known: Annotated[Person | None, Depends(optional_person)]) -> Person:
    """Return the person who asks, who may read everything.

    Raises:
        Problem: they have to log in first, or they change something without their session's token.
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
    """Return the name of the person who asks, who may change things.

    Raises:
        Problem: they may only read, or did not say their name.
    """
    del x_reviewer  # `Access.person` reads the header; the parameter puts it into the OpenAPI description
    if not known.may_review:
        raise Problem("not-allowed", "you may look at everything, but not change it")
    if known.name is None:
        raise Problem("bad-name", "say who decides in the header X-Reviewer")
    return known.name


TheDatabase = Annotated[Database, Depends(database)]
TheMounts = Annotated[Mounts, Depends(mounts)]
TheServices = Annotated[Services, Depends(services)]
TheCountSettings = Annotated[CountSettings, Depends(count_settings)]
TheSigningRules = Annotated[SigningRules, Depends(signing_rules)]
TheAccess = Annotated[Access, Depends(access)]
TheDiagnostics = Annotated[DiagnosticsCache, Depends(diagnostics)]
TheDecoding = Annotated[Decoding, Depends(decoding)]
TheThumbnails = Annotated[Thumbnails, Depends(thumbnails)]
OptionalPerson = Annotated[Person | None, Depends(optional_person)]
ThePerson = Annotated[Person, Depends(person)]
TheReviewer = Annotated[str, Depends(reviewer)]
