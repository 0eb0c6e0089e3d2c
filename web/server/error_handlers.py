"""Answers every error with a problem: errors of this program, of the framework, and those that nobody expected.

No log line holds an error's message, because a message could name a patient.
"""

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smearcount.db.errors import (
    DatabaseError,
    DatabaseUnavailable,
    DeliveryDecisionRefused,
    UnknownDelivery,
    UnknownImage,
    UnknownPage,
    UnknownSlide,
)
from smearcount.db.review.errors import ResultChanged, ReviewConflict, ReviewRefused, SignatureHindered, SlideSigned
from smearcount.db.review.records import Conflict
from smearcount.differential.errors import SmearcountError
from smearcount.web.errors import UsersInvalid
from smearcount.web.problems import FieldError, Problem, respond
from smearcount.web.schemas.reviews import ChangedAnswer, ConflictAnswer
from smearcount.web.schemas.slides import ObstacleAnswer

#: Turns one of our errors into the problem that the client receives.
ErrorHandler = Callable[[Any], Problem]

#: Methods that a path can allow.
_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

#: An answer about an invalid request lists at most this many errors, and at most this much of a field's name.
_MOST_FIELD_ERRORS, _LONGEST_FIELD_NAME = 20, 60

#: Frames of a traceback that the log keeps, the innermost ones.
_TRACEBACK_FRAMES = 8

_log = logging.getLogger("smearcount.web")


def _conflict(error: ReviewConflict) -> Problem:
    return Problem("review-conflict", str(error), {"conflicts": _conflicts(error.conflicts)})


def _changed(error: ResultChanged) -> Problem:
    members = {
        "changed": ChangedAnswer.of(error.change).model_dump(mode="json"),
        "conflicts": _conflicts(error.change.reviews),
    }
    return Problem("result-changed", str(error), members)


def _hindered(error: SignatureHindered) -> Problem:
    found = [ObstacleAnswer.of(obstacle).model_dump(mode="json") for obstacle in error.obstacles]
    return Problem("signature-hindered", str(error), {"obstacles": found})


def _conflicts(conflicts: Iterable[Conflict]) -> list[dict[str, Any]]:
    return [ConflictAnswer.of(conflict).model_dump(mode="json") for conflict in conflicts]


#: The handler of an error is that of its nearest base class.
ERROR_HANDLERS: Final[Mapping[type[SmearcountError], ErrorHandler]] = {
    # The message names the users file: the operator sees it when the server starts or a user is added.
    UsersInvalid: lambda _: Problem(
        "failed", "the users cannot be read just now; the operator must restore their file"
    ),
    UnknownSlide: lambda error: Problem("unknown-slide", str(error)),
    UnknownImage: lambda error: Problem("unknown-cell", str(error)),
    UnknownPage: lambda error: Problem("unknown-page", str(error)),
    UnknownDelivery: lambda error: Problem("unknown-delivery", str(error)),
    DeliveryDecisionRefused: lambda error: Problem("delivery-refused", str(error)),
    SlideSigned: lambda error: Problem("signed", str(error)),
    ReviewRefused: lambda error: Problem("review-refused", str(error)),
    ReviewConflict: _conflict,
    ResultChanged: _changed,
    SignatureHindered: _hindered,
    DatabaseUnavailable: lambda _: Problem(
        "database-unavailable", "the database does not answer just now; try again", headers={"Retry-After": "5"}
    ),
    # The message names files and queries: they belong into the operator's log, not into an answer.
    DatabaseError: lambda _: Problem("failed", "the database cannot be used as it is; run smearcount doctor"),
}


def install(application: FastAPI) -> None:
    """Make the application answer every error with a problem.

    Browsers are shown a page instead where `application.state.error_page` holds an `ErrorPage`.
    """
    application.add_exception_handler(SmearcountError, _answer_own_error)
    application.add_exception_handler(Problem, _answer)  # type: ignore[arg-type]
    application.add_exception_handler(RequestValidationError, _answer_invalid_request)
    application.add_exception_handler(HTTPException, _answer_http_error)


def _answer(request: Request, problem: Problem) -> Response:
    return respond(request, problem.as_json(), problem.headers)


def _answer_own_error(request: Request, error: Exception) -> Response:
    handler = next((ERROR_HANDLERS[kind] for kind in type(error).__mro__ if kind in ERROR_HANDLERS), None)
    if handler is None:
        _log.error("%s in %s", type(error).__name__, _route(request.scope))
        return _answer(request, Problem("failed", str(error)))
    return _answer(request, handler(error))


def _answer_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (for the type checker)
    errors = [
        # A location holds the sender's name of a field; a message says what was wrong with the value, not the value.
        FieldError(where=".".join(str(part)[:_LONGEST_FIELD_NAME] for part in one["loc"]), detail=one["msg"])
        for one in error.errors()[:_MOST_FIELD_ERRORS]
    ]
    members = {"errors": [one.model_dump() for one in errors]}
    return _answer(request, Problem("invalid", "the request is not as the API describes it", members))


def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (for the type checker)
    status = HTTPStatus(error.status_code)
    headers = error.headers or {}
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {**headers, "Allow": ", ".join(_allowed_methods(request))}
    if status < 400:  # a redirect that a dependency raised
        return Response(status_code=status, headers=dict(headers))
    content = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": error.detail}
    return respond(request, content, headers)


class UnexpectedErrors:
    """Middleware: answers an error that nobody expected with status 500, and logs its place without its message."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        started = False

        async def send_and_note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_start)
        except Exception as error:  # noqa: BLE001 (whatever the error is, the server goes on)
            where = "".join(traceback.format_tb(error.__traceback__)[-_TRACEBACK_FRAMES:])
            _log.error("%s in %s\n%s", type(error).__name__, _route(scope), where)
            if scope["type"] != "http" or started:
                return
            detail = "an error in smearcount itself; its log says where"
            response = respond(
                Request(scope),
                {"type": "about:blank", "title": "Internal Server Error", "status": 500, "detail": detail},
                {},
            )
            await response(scope, receive, send)


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods that a path allows; the router itself names only those of the first route that it finds."""
    # A mounted application, such as the static files, matches with every method.
    routes = [route for route in request.app.router.routes if not isinstance(route, Mount)]
    found = [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ] or ["GET"]
    return sorted({*found, "HEAD"}) if "GET" in found else found


def _route(scope: Scope) -> str:
    """Return the route of a request, never its path: ids are harmless, but a search holds names."""
    return f"{scope.get('method', scope['type'])} {getattr(scope.get('route'), 'path', '(no route)')}"
