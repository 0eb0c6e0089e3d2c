"""The web application: the API, health and metrics, and the pages, behind what protects them all."""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from smearcount.web import problems
from smearcount.web.api import (
    cells,
    changes,
    exports,
    health,
    problem_kinds,
    quarantine,
    reviews,
    session,
    slides,
    system,
    trends,
)
from smearcount.web.api.description import description
from smearcount.web.auth.access import Access
from smearcount.web.live.diagnostics_cache import Checkup
from smearcount.web.live.live_updates import ChangeFeed
from smearcount.web.live.metrics import make_registry
from smearcount.web.media.thumbnails import Thumbnails
from smearcount.web.pages.installation import install as install_pages
from smearcount.web.server.error_handlers import TRANSLATIONS
from smearcount.web.server.security import BodyLimit, KnownCallers, SecurityHeaders
from smearcount.web.services import Facilities

PREFIX = "/api/v1"

_ROUTERS = (slides, cells, reviews, exports, quarantine, changes, trends, system, session)


def make_application(facilities: Facilities) -> FastAPI:
    """Build the application.

    Raises:
        AccessOpen: it would be reachable from the network without anyone having to log in.
        UsersInvalid: the users file cannot be read.
    """
    settings = facilities.settings
    rule = Access(settings, facilities.data)
    feed = ChangeFeed(facilities.database, most_listeners=settings.web_listeners)

    application = FastAPI(
        title="smearcount",
        version=facilities.version,
        # Swagger's page comes from elsewhere and needs inline scripts; a laboratory has neither.
        docs_url=None,
        redoc_url=None,
        # What is sent holds names; none of it leaves for a collector.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(problems.Unexpected),
            Middleware(
                KnownCallers,
                hosts=settings.web_hosts,
                is_open=rule.is_open,
                is_on_loopback=not settings.is_reachable_from_outside,
            ),
            Middleware(BodyLimit),
        ],
    )
    application.state.facilities = facilities
    application.state.access = rule
    application.state.feed = feed
    application.state.registry = make_registry(facilities, feed)
    application.state.thumbnails = Thumbnails()
    application.state.checkup = Checkup(facilities.examine)
    problems.install(application, TRANSLATIONS)
    application.include_router(health.router)
    application.include_router(problem_kinds.router)
    api = APIRouter(prefix=PREFIX, responses=problems.described("invalid"))
    for module in _ROUTERS:
        api.include_router(module.router)
    application.include_router(api)
    install_pages(application)

    def described() -> dict[str, Any]:
        if application.openapi_schema is None:
            application.openapi_schema = description(application, is_open=rule.is_open)
        return application.openapi_schema

    application.openapi = described  # type: ignore[method-assign]
    return application
