"""What a proxy in front of the server has to do with paths: it may show the server under a prefix, such as /smears."""

from collections.abc import Collection
from ipaddress import ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from smearcount.web.links import SCOPE_KEY, is_prefix, use_prefix


class TrustedPrefix:
    """Takes the prefix from the header X-Forwarded-Prefix, if the connection comes from a trusted proxy.

    It must see requests before anything has put the browser's address into the place of the proxy's.
    """

    def __init__(self, app: ASGIApp, trusted: Collection[str]) -> None:
        """Wrap an application; `trusted` are the addresses and networks of proxies."""
        self._app = app
        self._trusted = [ip_network(one, strict=False) for one in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            given = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
            client = scope.get("client")
            if given and is_prefix(given) and client is not None and self._is_trusted(client[0]):
                scope = {**scope, SCOPE_KEY: given}
        await self._app(scope, receive, send)

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:  # a Unix socket has no address
            return False
        return any(found in network for network in self._trusted)


class Prefix:
    """Middleware: serves requests below a prefix, whether the proxy leaves it in the path or takes it away."""

    def __init__(self, app: ASGIApp, *, configured: str) -> None:
        """Wrap an application; `configured` is the prefix where no proxy names one."""
        self._app = app
        self._configured = configured

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            prefix = scope.get(SCOPE_KEY) or self._configured
            use_prefix(prefix)
            path: str = scope["path"]
            if prefix and (path == prefix or path.startswith(f"{prefix}/")):
                scope = {**scope, "path": path[len(prefix) :] or "/"}
        await self._app(scope, receive, send)
