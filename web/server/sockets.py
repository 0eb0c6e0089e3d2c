"""The address that the web server listens on, in a module of its own: importing it does not load the server."""

import errno
import socket

from smearcount.web.errors import WebError

#: Connections that may wait to be accepted.
_BACKLOG = 512


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a name or address; port 0 takes any free port.

    Raises:
        WebError: the server cannot listen there; the message says what to do.
    """
    try:
        listener = _listen(host, port)
    except OSError as error:
        raise _refusal(host, port, error) from None
    # asyncio sets TCP_NODELAY only on sockets that name their protocol, which this one does not. Without it, every answer
    # on a kept connection waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def free_port(host: str, wanted: int, *, may_differ: bool) -> int:
    """Return the wanted port if it is free, or another free port if `may_differ`; another process may still take it.

    Raises:
        WebError: the server cannot listen there; the message says what to do.
    """
    try:
        with _listen(host, wanted) as listener:
            return _port(listener)
    except OSError as error:
        if not (may_differ and error.errno == errno.EADDRINUSE):
            raise _refusal(host, wanted, error) from None
    return free_port(host, 0, may_differ=False)


def address(host: str, port: int) -> str:
    """Return the URL of a server that listens at a host and port."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def address_of(listener: socket.socket, host: str) -> str:
    """Return the URL of a listening socket, by the name under which it was opened."""
    return address(host, _port(listener))


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(where[:2], family=family, backlog=_BACKLOG)


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _refusal(host: str, port: int, error: OSError) -> WebError:
    return WebError(f"cannot listen on {host} port {port}: {error.strerror}; name another with --port, or --host")
