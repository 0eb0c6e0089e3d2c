"""A web server that receives results: a FHIR server with its authorization, a webhook, or SENAITE."""

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True)
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the server answers."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def said(document: object, status: int = 200) -> Reply:
    """Return an answer of JSON."""
    return Reply(status, json.dumps(document), {"Content-Type": "application/json"})


@dataclass
class WebServer:
    """A server at a port of the loopback address, which keeps what it is asked."""

    answering: Callable[[Request], Reply]
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                outer.requests.append(request)
                reply = outer.answering(request)
                content = reply.body.encode()
                self.send_response(reply.status)
                for name, value in {**reply.headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_OPTIONS = _serve  # noqa: N815 (the names that http.server asks for)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if self.tls is not None:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True)
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        assert self._server is not None
        return f"{'http' if self.tls is None else 'https'}://localhost:{self._server.server_address[1]}"


@dataclass
class FhirServer:
    """The rules of a FHIR R4 server: carries transactions out whole or not at all, and makes ids where it is asked to."""

    resources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __call__(self, request: Request) -> Reply:
        """Answer a request."""
        if request.path.endswith("/metadata"):
            return said({"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"})
        bundle = request.json
        assert bundle["type"] == "transaction"
        places: dict[str, str] = {}
        for entry in bundle["entry"]:
            assert entry["request"]["method"] == "PUT"
            kind, _, condition = entry["request"]["url"].partition("?")
            if condition:
                system, _, value = condition.removeprefix("identifier=").partition("|")
                kind = f"{kind}/{self._with(kind, system, value)}"
            places[entry["fullUrl"]] = kind
        for entry in bundle["entry"]:
            text = json.dumps(entry["resource"])
            for full, place in places.items():
                text = text.replace(json.dumps(full), json.dumps(place)) if f'"reference": "{full}"' in text else text
            self.resources[places[entry["fullUrl"]]] = json.loads(text)
        return said({"resourceType": "Bundle", "type": "transaction-response"})

    def _with(self, kind: str, system: str, value: str) -> str:
        wanted = {"system": system, "value": value}
        for place, resource in self.resources.items():
            if place.startswith(f"{kind}/") and wanted in resource.get("identifier", []):
                return place.partition("/")[2]
        return f"own-{len(self.resources) + 1}-{value[-6:]}"
