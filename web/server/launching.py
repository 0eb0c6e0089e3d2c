"""Middleware of a server without logins: it answers its own user, and whoever holds the launch token."""

from collections.abc import Callable
from typing import Final

from fastapi import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from smearcount.web.auth.launch import (
    LAUNCH_COOKIE,
    holds_token,
    is_own_connection,
    is_token,
    token_in,
    without_token,
)
from smearcount.web.links import prefix
from smearcount.web.problems import Problem, respond

#: What says nothing of slides, for programs that watch over the server.
_FOR_EVERYBODY: Final = frozenset({"/healthz", "/readyz"})


class LaunchToken:
    """Middleware: refuses requests of other users, and of those whose user is not known, unless they hold the token."""

    def __init__(self, app: ASGIApp, *, token: str | None, is_open: Callable[[], bool]) -> None:
        """Wrap an application.

        Args:
            app: the application.
            token: the launch token; None lets everybody in, which is for tests alone.
            is_open: says whether nobody has to log in just now.
        """
        self._app = app
        self._token = token
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http" or self._token is None or scope["path"] in _FOR_EVERYBODY or not self._is_open():
            await self._app(scope, receive, send)
            return
        given = token_in(scope)
        if given and scope["method"] == "GET" and is_token(given, self._token):
            await self._keep_token(scope, receive, send)
        elif holds_token(scope, self._token) or is_own_connection(scope):
            await self._app(scope, receive, send)
        else:
            problem = Problem(
                "not-launched", "this server answers the user who has started it; others need its address whole"
            )
            await respond(Request(scope), problem.as_json(), {})(scope, receive, send)

    async def _keep_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the browser keep the token, and ask again without it in the address, which others may see."""
        response = RedirectResponse(prefix() + without_token(scope), status_code=303)
        # The server's own user needs no cookie, which the browser would show to other ports of this machine as well.
        if self._token is not None and not is_own_connection(scope):
            response.set_cookie(LAUNCH_COOKIE, self._token, httponly=True, samesite="strict", path="/")
        await response(scope, receive, send)
