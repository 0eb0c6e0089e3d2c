"""The web application's routes, worked out once for all applications of a test process."""

from typing import Any, ClassVar
from unittest import mock

from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from smearcount.web.server import application as application_module
from smearcount.web.server.application import make_application
from smearcount.web.services import Services


class _Routed(FastAPI):
    """An application that takes its routes from the first one of this process.

    Routes hold nothing of their application, and FastAPI needs longer to work them out than most tests for all the rest.
    """

    #: The routes that the first application was given.
    given: ClassVar[list[BaseRoute]] = []

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._is_first = not self.given
        self.router.routes.extend(self.given)

    def include_router(self, router: APIRouter, **settings: Any) -> None:
        if self._is_first:
            super().include_router(router, **settings)
            self.given.append(self.routes[-1])

    def mount(self, path: str, app: ASGIApp, name: str | None = None) -> None:
        if self._is_first:
            super().mount(path, app, name)
            self.given.append(self.routes[-1])


def make_application_again(services: Services) -> FastAPI:
    """Build the real application with the routes of the first one that this process has built."""
    with mock.patch.object(application_module, "FastAPI", _Routed):
        return make_application(services)
