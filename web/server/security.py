"""Middleware that protects browser and server on every route: headers, host name, origin, and size of the body."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smearcount.web.auth.access import SAFE_METHODS
from smearcount.web.problems import Problem, respond
from smearcount.web.settings import LOOPBACK_NAMES, is_loopback

#: Most bytes of a request's body: two thousand reclassified cells fit twice.
LARGEST_BODY: Final = 256 * 1024

_TOO_LARGE: Final = f"a request's body has at most {LARGEST_BODY:,} bytes"

#: Everything comes from this server, nothing is inline, and no other site may show a page in a frame.
CONTENT_SECURITY_POLICY: Final = "; ".join((
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
))  # fmt: skip

#: Headers of every answer, unless the route sets them itself.
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Answers hold patients' counts.
    "Cache-Control": "no-store",
}

_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::[0-9]*)?")

#: Headers that a proxy adds.
_FORWARDED: Final = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-real-ip",
    "via",
)


class SecurityHeaders:
    """Middleware: adds HEADERS to every answer that does not set them itself."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class KnownCallers:
    """Middleware: refuses requests that a page of another site makes a browser send.

    A server on loopback trusts everybody who can reach it. It therefore answers only to this machine's own names: with DNS
    rebinding, another site's name can lead to 127.0.0.1, but the browser still asks by that name. A proxy in front would
    extend the trust to everybody on the network, so forwarded requests are refused as well.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: tuple[str, ...], is_open: Callable[[], bool], is_on_loopback: bool
    ) -> None:
        """Wrap an application.

        Args:
            app: the application.
            hosts: further names of the server.
            is_open: says whether nobody has to log in just now.
            is_on_loopback: the server is reachable from this machine alone.
        """
        self._app = app
        self._hosts = frozenset(hosts)
        self._is_open = is_open
        #: None if any name is allowed: a browser sends the session's cookie only to the name that set it, so another name
        #: gains nothing.
        self._names = None if not is_on_loopback and not hosts else LOOPBACK_NAMES | self._hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "http":
            problem = self._objection(scope["method"], Headers(scope=scope))
            if problem is not None:
                response = respond(Request(scope), problem.as_json(), {})
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _objection(self, method: str, headers: Headers) -> Problem | None:
        name = host_name(headers.get("host", ""))
        if self._names is not None and name not in self._names and not is_loopback(name):
            return Problem("bad-host", "this server is not known by the name it was asked for")
        if any(header in headers for header in _FORWARDED) and self._is_open():
            return Problem("behind-proxy", "without logins this server answers to no proxy")
        return Problem("foreign-origin", "another site's page sent this") if _is_foreign(method, headers) else None


class BodyLimit:
    """Middleware: refuses a body of more than LARGEST_BODY bytes, with or without a Content-Length."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = Headers(scope=scope).get("content-length", "")
        if told.isdigit() and int(told) > LARGEST_BODY:
            content = {"type": "about:blank", "title": "Content Too Large", "status": 413, "detail": _TOO_LARGE}
            response = respond(Request(scope), content, {"Connection": "close"})
            await response(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, counted, send)


def _is_foreign(method: str, headers: Headers) -> bool:
    """Return whether another site's page makes the browser send this, other than by a link that a person follows."""
    site = headers.get("sec-fetch-site")
    if site is not None:  # current browsers send it over HTTPS and on loopback
        is_visit = method in SAFE_METHODS and headers.get("sec-fetch-mode") == "navigate"
        return site not in {"same-origin", "none"} and not is_visit
    origin = headers.get("origin")
    return origin is not None and method not in SAFE_METHODS and urlsplit(origin).netloc != headers.get("host")


def host_name(host: str) -> str:
    """Return the name in a Host header without the port, such as `::1` for `[::1]:8765`; empty if the header is invalid."""
    found = _HOST.fullmatch(host)
    return (found["address"] or found["name"]).lower() if found else ""
