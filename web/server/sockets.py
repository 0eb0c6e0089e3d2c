"""The address that the web server listens on; apart from the server, so that others can ask without loading it."""

import errno
import socket

from smearcount.web.errors import WebError

_BACKLOG = 512


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a name or address; port 0 takes any free one.

    Raises:
        WebError: the address cannot be listened on; says what to do.
    """
    try:
        listener = _listen(host, port)
    except OSError as error:
        raise _refusal(host, port, error) from None
    # asyncio sets it only on sockets that name their protocol, which this one does not; without it, every answer on a
    # kept connection waits 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def free_port(host: str, wanted: int, *, may_differ: bool) -> int:
    """Return the port wanted, or any other free one if it is taken and may differ; it is free now, not for ever.

    Raises:
        WebError: the address cannot be listened on; says what to do.
    """
    try:
        with _listen(host, wanted) as listener:
            return _port(listener)
    except OSError as error:
        if not (may_differ and error.errno == errno.EADDRINUSE):
            raise _refusal(host, wanted, error) from None
    return free_port(host, 0, may_differ=False)


def address(host: str, port: int) -> str:
    """Return the URL of a server that listens there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def address_of(listener: socket.socket, host: str) -> str:
    """Return the URL of a listening socket, by the name it was asked for."""
    return address(host, _port(listener))


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(where[:2], family=family, backlog=_BACKLOG)


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _refusal(host: str, port: int, error: OSError) -> WebError:
    return WebError(f"cannot listen on {host} port {port}: {error.strerror}; name another with --port, or --host")
