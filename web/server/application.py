"""The web application: API, health, metrics and pages, behind the middleware that protects them all."""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from smearcount.web.api import (
    cells,
    changes,
    deliveries,
    exports,
    health,
    index,
    problem_kinds,
    quarantine,
    reviews,
    session,
    slides,
    system,
    trends,
)
from smearcount.web.api.openapi import openapi_document
from smearcount.web.auth.access import Access
from smearcount.web.live.live_updates import LiveUpdates
from smearcount.web.media.decoding import Decoding
from smearcount.web.media.thumbnails import Thumbnails
from smearcount.web.monitoring.diagnostics_cache import DiagnosticsCache
from smearcount.web.monitoring.metrics import make_registry
from smearcount.web.pages.routes import install as install_pages
from smearcount.web.problems import described as described_problems
from smearcount.web.server import error_handlers
from smearcount.web.server.head import HeadLikeGet
from smearcount.web.server.launching import LaunchToken
from smearcount.web.server.proxies import Prefix
from smearcount.web.server.security import BodyLimit, KnownCallers, SecurityHeaders
from smearcount.web.services import Services

PREFIX = "/api/v1"

_ROUTERS = (slides, cells, reviews, exports, quarantine, changes, deliveries, trends, system, session)


def make_application(services: Services) -> FastAPI:
    """Build the application.

    Raises:
        AccessOpen: the server would be reachable from the network without a login.
        UsersInvalid: the users file cannot be read.
    """
    settings = services.settings
    access = Access(settings, services.data)
    live_updates = LiveUpdates(services.database, most_listeners=settings.web_listeners)

    application = FastAPI(
        title="smearcount",
        version=services.version,
        # Swagger's page loads files from the internet and needs inline scripts: a laboratory may lack the one and our
        # policy forbids the other.
        docs_url=None,
        redoc_url=None,
        # Requests hold names, so nothing about them goes to a collector.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        middleware=[
            Middleware(HeadLikeGet),
            Middleware(Prefix, configured=settings.web_root_path),
            Middleware(SecurityHeaders),
            Middleware(error_handlers.UnexpectedErrors),
            Middleware(
                KnownCallers,
                hosts=settings.web_hosts,
                is_open=lambda: access.is_open,
                is_on_loopback=not settings.is_reachable_from_outside,
            ),
            Middleware(LaunchToken, token=services.launch_token, is_open=lambda: access.is_open),
            Middleware(BodyLimit),
        ],
    )
    application.state.services = services
    application.state.access = access
    application.state.live_updates = live_updates
    application.state.registry = make_registry(services, live_updates)
    application.state.thumbnails = Thumbnails()
    application.state.decoding = Decoding()
    application.state.diagnostics = DiagnosticsCache(services.diagnose)
    error_handlers.install(application)
    application.include_router(health.router)
    application.include_router(problem_kinds.router)
    api = APIRouter(prefix=PREFIX, responses=described_problems("invalid"))
    for module in _ROUTERS:
        api.include_router(module.router)
    application.include_router(api)
    application.include_router(index.router, prefix=PREFIX, responses=described_problems("login-needed"))
    install_pages(application)

    documents: dict[bool, dict[str, Any]] = {}

    def cached_openapi() -> dict[str, Any]:
        # The first user closes an open server while it runs.
        is_open = access.is_open
        if is_open not in documents:
            documents[is_open] = openapi_document(application, is_open=is_open)
        return documents[is_open]

    application.openapi = cached_openapi  # type: ignore[method-assign]
    return application
