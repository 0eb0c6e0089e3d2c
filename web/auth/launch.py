"""Who may use a server without logins: this user's own programs, and browsers that were given the launch token.

Other users of the machine reach its loopback address, too, and so does everybody behind a proxy that another user runs. Linux
says which user a local connection belongs to. Those of the server's own user go on without a word. All others,
and all where that cannot be known, need the token that is in the address that `up` and `web` print.
"""

import errno
import hmac
import ipaddress
import os
import secrets
import socket
import struct
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.types import Scope

LAUNCH_COOKIE: Final = "smearcount_launch"
#: Name of the token in an address.
PARAMETER: Final = "token"

_TABLES = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}
#: Columns of the kernel's tables.
_UID, _INODE = 7, 9
#: Numbers of netlink(7) and sock_diag(7), and of the state of a socket that listens.
_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _REQUEST, _ERROR, _LISTENING = 4, 20, 1, 2, 10


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


def with_token(address: str, token: str) -> str:
    """Return an address with the token, as it is printed."""
    return f"{address}?{urlencode({PARAMETER: token})}"


def is_own_connection(scope: Scope) -> bool:
    """Say whether a request comes from a program that the server's own user runs on this machine."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or server is None or not hasattr(os, "geteuid"):
        return False
    return peer_uid((client[0], client[1]), (server[0], server[1])) == os.geteuid()


def peer_uid(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """Return the id of the user to whom the client's end of a connection belongs; None where this machine does not know."""
    try:
        there, here = _End.of(*client), _End.of(*server)
        return _asked_of_kernel(there, here)
    except ValueError:
        return None
    except (OSError, AttributeError):  # no Linux, or a container's filter forbids to ask
        return _in_table(there, here)


@dataclass(frozen=True)
class _End:
    """One end of a connection."""

    family: socket.AddressFamily
    #: In the order of the network.
    address: bytes
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Self:
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return cls(socket.AF_INET if address.version == 4 else socket.AF_INET6, address.packed, port)

    @property
    def in_table(self) -> str:
        """The end as the kernel's tables have it: words in the machine's order, hexadecimal."""
        words = struct.unpack(f"={len(self.address) // 4}I", self.address)
        return "".join(f"{word:08X}" for word in words) + f":{self.port:04X}"


def _asked_of_kernel(there: _End, here: _End) -> int | None:
    """Ask for one socket (sock_diag(7)); to read the table of all takes the kernel up to 30 ms."""
    ports = struct.pack(">HH", there.port, here.port)
    ends = there.address.ljust(16, b"\0") + here.address.ljust(16, b"\0")
    request = struct.pack("=BBBBI", there.family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
    request += ports + ends + struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)
    header = struct.pack("=IHHII", 16 + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
        kernel.settimeout(1)
        kernel.send(header + request)
        answer = kernel.recv(4096)
    kind = struct.unpack_from("=H", answer, 4)[0]
    if kind == _ERROR:
        number = -struct.unpack_from("=i", answer, 16)[0]
        if number == errno.ENOENT:
            return None
        raise OSError(number, os.strerror(number))
    state = answer[17]
    found_ports, found_ends = answer[20:24], answer[24:56]
    uid, inode = struct.unpack_from("=II", answer, 16 + 4 + 48 + 12)
    # A connection that its program has closed belongs to nobody, and the kernel says 0 for its user. Where there is no
    # connection, it may find somebody who listens at that port.
    is_the_one = (found_ports, found_ends) == (ports, ends) and state != _LISTENING
    return int(uid) if is_the_one and inode != 0 else None


def _in_table(there: _End, here: _End) -> int | None:
    try:
        table = _TABLES[there.family].read_text(encoding="ascii")
    except OSError:
        return None
    place = table.find(f" {there.in_table} {here.in_table} ")
    if place < 0:
        return None
    columns = table[table.rindex("\n", 0, place) + 1 : table.find("\n", place)].split()
    return int(columns[_UID]) if columns[_INODE] != "0" else None


def token_in(scope: Scope) -> str:
    """Return the token that a request brings in its address; empty if it brings none."""
    query = scope.get("query_string", b"").decode("latin-1")
    return str(dict(parse_qsl(query)).get(PARAMETER, ""))


def holds_token(scope: Scope, token: str) -> bool:
    """Say whether a request holds the token in its cookie, or as a bearer token."""
    headers = Headers(scope=scope)
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(bearer.strip(), token):
        return True
    cookies = SimpleCookie(headers.get("cookie", ""))
    return LAUNCH_COOKIE in cookies and is_token(cookies[LAUNCH_COOKIE].value, token)


def is_token(given: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), token.encode())


def without_token(scope: Scope) -> str:
    """Return a request's path and query without the token: a path of this server, whatever the request says."""
    query = [one for one in parse_qsl(scope.get("query_string", b"").decode("latin-1")) if one[0] != PARAMETER]
    # Two slashes, or a slash and a backslash, would begin the name of another server.
    path = "/" + quote(scope["path"].lstrip("/\\"), safe="/")
    return f"{path}?{urlencode(query)}" if query else path
