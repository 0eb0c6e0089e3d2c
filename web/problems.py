"""What the API says when it cannot do as asked: problem details as RFC 9457 describes them, for every error there is.

No answer repeats what was sent, and no log line holds a message: either could name a patient.
"""

import logging
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smearcount.db.errors import DatabaseError, DatabaseUnavailable, UnknownSlide
from smearcount.differential.errors import SmearcountError

MEDIA_TYPE: Final = "application/problem+json"

#: Every kind of problem beside the plain HTTP ones: its status, its title, and what helps.
KINDS: Final[dict[str, tuple[int, str, str]]] = {
    "invalid": (422, "The request is not as described", "Correct what `errors` lists."),
    "bad-host": (400, "Asked for by a wrong name", "Ask by the name or address that the server was started with."),
    "bad-name": (400, "A person's name is needed", "Send the reviewer's name in the header X-Reviewer."),
    "login-needed": (401, "Nobody is logged in", "Log in at /api/v1/session, or send a bearer token."),
    "wrong-login": (401, "Name or password is wrong", "Try again; ask the operator for a new password."),
    "not-allowed": (403, "Not allowed", "Ask for the role reviewer."),
    "csrf": (403, "The request does not come from our page", "Send the session's token in the header X-CSRF-Token."),
    "foreign-origin": (403, "The request comes from another site", "Ask from a page of this server, or from a program."),
    "behind-proxy": (403, "A proxy needs logins", "Set up users or a token before putting a proxy in front."),
    "unknown-slide": (404, "No such slide", "The list of slides has the ids there are."),
    "unknown-page": (404, "No such page of the list", "Take `after` from `next` or the Link header, with the same sort."),
    "unknown-cell": (404, "No such image", "The list of a slide's cells has the ids there are."),
    "no-image": (404, "The file holds no image that can be shown", "Look at the reason why it was quarantined."),
    "image-gone": (410, "The file is not there any more", "Put the file back into the inbox."),
    "image-changed": (410, "The file is not the one that was counted", "Its new content is counted as another cell."),
    "review-conflict": (409, "Someone changed these cells meanwhile", "Look at `conflicts`, and decide again."),
    "signed": (409, "The slide is signed", "Reopen it first, saying why."),
    "review-refused": (409, "This cannot be reviewed so", "`detail` says what forbids it."),
    "too-many-logins": (429, "Too many failed logins", "Wait as long as Retry-After says."),
    "too-many-listeners": (503, "Too many follow the changes", "Close a page, or raise SMEARCOUNT_WEB_LISTENERS."),
    "failed": (500, "That failed", "`detail` says what to do."),
    "database-unavailable": (503, "The database does not answer", "Try again; it may be starting or busy."),
    "not-ready": (503, "Not ready", "`detail` says what is missing."),
}  # fmt: skip

_log = logging.getLogger("smearcount.web")


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Part of the request: body, query, path or header, and the name in it.")
    detail: str = Field(description="What is wrong with it.")


class ProblemDetails(BaseModel):
    """A problem (RFC 9457)."""

    # Kinds of problems add members of their own.
    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="What kind of problem, a path under /problems; `about:blank` means no more than the status.",
        examples=["/problems/unknown-slide"],
    )
    title: str = Field(description="The kind of problem in words; the same for each of its kind.")
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str | None = Field(default=None, description="What happened here, and what to do.")
    errors: list[FieldError] | None = Field(
        default=None, description="For `invalid`: everything wrong with the request."
    )


class Problem(Exception):
    """Ends a request with a problem of one of our KINDS."""

    def __init__(
        self,
        kind: str,
        detail: str,
        members: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what is to be said; `members` stand beside those of ProblemDetails."""
        super().__init__(kind)
        self.kind = kind
        self.detail = detail
        self.members = members or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.kind][0]

    def as_json(self) -> dict[str, Any]:
        """Return the problem as it is sent."""
        status, title, _ = KINDS[self.kind]
        own = {"type": f"/problems/{self.kind}", "title": title, "status": status, "detail": self.detail}
        return {**own, **self.members}


#: Turns one of our errors into a problem.
Translation = Callable[[Any], Problem]

#: What makes a page of a problem, for a person's browser.
ErrorPage = Callable[[Request, Mapping[str, Any], Mapping[str, str]], Response]


def described(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI description says of an operation's own problems."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status, title, remedy = KINDS[kind]
        line = f"`{kind}`: {title}. {remedy}"
        known = responses.setdefault(status, {"description": "", "content": {MEDIA_TYPE: {"schema": _REFERENCE}}})
        known["description"] = f"{known['description']}\n\n{line}".strip()
    return responses


_REFERENCE = {"$ref": "#/components/schemas/ProblemDetails"}


def install(application: FastAPI, translations: Mapping[type[SmearcountError], Translation]) -> None:
    """Make the application answer every error with a problem.

    Args:
        application: `application.state.error_page` may hold an ErrorPage; browsers are then shown a page.
        translations: what becomes of errors of ours, beside those of the database.
    """
    known: dict[type[SmearcountError], Translation] = {
        UnknownSlide: lambda error: Problem("unknown-slide", str(error)),
        DatabaseUnavailable: lambda _: Problem(
            "database-unavailable", "the database does not answer just now; try again", headers={"Retry-After": "5"}
        ),
        # Its message names files and queries: for the log of the operator, not for the page.
        DatabaseError: lambda _: Problem("failed", "the database cannot be used as it is; run smearcount doctor"),
        **translations,
    }

    def ours(request: Request, error: Exception) -> Response:
        translation = next((known[kind] for kind in type(error).__mro__ if kind in known), None)
        if translation is None:
            _log.error("%s in %s", type(error).__name__, _route(request.scope))
            return _answer(request, Problem("failed", str(error)))
        return _answer(request, translation(error))

    application.add_exception_handler(SmearcountError, ours)
    application.add_exception_handler(Problem, _answer)  # type: ignore[arg-type]
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(HTTPException, _plain)


def _answer(request: Request, problem: Problem) -> Response:
    return respond(request, problem.as_json(), problem.headers)


def respond(request: Request, content: Mapping[str, Any], headers: Mapping[str, str]) -> Response:
    """Return the answer to a request that failed: JSON, or a page where a browser asked for one."""
    page: ErrorPage | None = getattr(request.app.state, "error_page", None)
    if page is not None and "text/html" in request.headers.get("accept", "") and not _is_api(request.url.path):
        return page(request, content, headers)
    return JSONResponse(dict(content), status_code=content["status"], headers=dict(headers), media_type=MEDIA_TYPE)


def _is_api(path: str) -> bool:
    return path.startswith("/api/")


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 (for the type checker)
    errors = [
        # A location holds what the sender called a thing; a message holds what was wrong with it, not the thing.
        FieldError(where=".".join(str(part)[:60] for part in one["loc"]), detail=one["msg"]).model_dump()
        for one in error.errors()
    ]
    return _answer(request, Problem("invalid", "the request is not as the API describes it", {"errors": errors[:20]}))


def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 (for the type checker)
    status = HTTPStatus(error.status_code)
    headers = error.headers or {}
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {**headers, "Allow": ", ".join(_allowed(request))}
    if status < 400:  # a redirect that was raised
        return Response(status_code=status, headers=dict(headers))
    content = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": error.detail}
    return respond(request, content, headers)


class Unexpected:
    """Middleware: answers an error that nobody foresaw, and logs where it happened but no message and no values."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 (whatever it is, the server goes on)
            where = "".join(traceback.format_tb(error.__traceback__)[-8:])
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


def _allowed(request: Request) -> list[str]:
    """Return the methods that a path knows; the router itself names only those of the first operation it finds."""
    # What is mounted, such as files, matches whatever the method.
    routes = [route for route in request.app.router.routes if not isinstance(route, Mount)]
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ] or ["GET", "HEAD"]


def _route(scope: Scope) -> str:
    """Name the route of a request, never its path: ids are harmless, but a search holds names."""
    return f"{scope.get('method', scope['type'])} {getattr(scope.get('route'), 'path', '(no route)')}"
