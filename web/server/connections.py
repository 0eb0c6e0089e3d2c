"""Connections that cost the server nothing: deadlines for a request's header and body, and a cap on how many there are.

Whoever opens a connection and sends nothing, or a byte now and then, holds a descriptor. Without descriptors the server accepts
nobody, so it closes such a connection in time, and under many it closes the one that has waited longest.
"""

import asyncio
import contextlib
import resource
from collections import OrderedDict
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds that a request's header may take, from the connection or its first byte on, and its body.
HEADER_SECONDS, BODY_SECONDS = 15.0, 60.0

#: Most connections; 100 pages that follow the changes, and what their browsers open beside, are half of them.
MOST_CONNECTIONS: Final = 1_000
#: Descriptors that are kept free for files, the database and the broker.
_KEPT_FREE: Final = 128


def use_all_descriptors() -> int:
    """Raise this process's limit of descriptors as far as it may, and return how many connections fit under it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name a hard limit that no process may have.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(min(MOST_CONNECTIONS, soft - _KEPT_FREE), 16)


class Connections:
    """The connections of a server: those whose client still owes a header or a body, the longest waiting first."""

    def __init__(self, most: int) -> None:
        """Start without any; allow `most`."""
        self.most = most
        self.open = 0
        self.waiting: OrderedDict[Connection, None] = OrderedDict()


class Connection(H11Protocol):
    """A connection with deadlines; `connections` is set by `protocol_of`."""

    connections_of_server: Connections
    _deadline: asyncio.TimerHandle | None = None
    _owes: object = None
    _is_counted = False

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or close it if there are too many that are all at work."""
        ours = self.connections_of_server
        if ours.open >= ours.most:
            if not ours.waiting:
                transport.abort()
                return
            next(iter(ours.waiting)).abort()
        ours.open += 1
        self._is_counted = True
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        if self._is_counted:  # and not closed because there were too many
            self._is_counted = False
            self.connections_of_server.open -= 1
            self._forget_deadline()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._is_counted:
            super().data_received(data)
            self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def abort(self) -> None:
        """Close the connection at once."""
        self._forget_deadline()
        self.transport.abort()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self.connections_of_server.waiting.pop(self, None)

    def _watch(self) -> None:
        """Set the deadline for what the client owes now; more bytes of the same thing do not move it."""
        state = self.conn.their_state
        if state is self._owes or not self._is_counted:
            return
        self._owes = state
        self._forget_deadline()
        if state in {h11.IDLE, h11.SEND_BODY}:
            seconds = HEADER_SECONDS if state is h11.IDLE else BODY_SECONDS
            self._deadline = self.loop.call_later(seconds, self.abort)
            self.connections_of_server.waiting[self] = None


def protocol_of(connections: Connections) -> type[Connection]:
    """Return the class of a server's connections."""
    return type("ServedConnection", (Connection,), {"connections_of_server": connections})
