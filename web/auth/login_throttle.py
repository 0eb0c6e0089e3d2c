"""Limits failed logins, so that nobody can try one password after the other.

An attempt is counted before its password is looked at, so that attempts at the same moment do not pass each other by; one that
succeeds gives its place back. Nobody is locked out: after the first few, an address or a name gets another attempt every few
seconds.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from smearcount.web.problems import Problem

#: Within this time all attempts come back.
WINDOW_SECONDS = 300.0

#: Attempts at once for one name from one address, and for all names from one address; then one for each part of the window. A
#: name by itself has no limit: with one, anybody could lock a colleague out.
PER_NAME, PER_ADDRESS = 5, 30

#: Bits of an IPv6 address that its owner does not choose freely: a customer gets a /64 at least.
_IPV6_PREFIX = 64

#: Most keys that are kept; beyond this number the oldest are dropped.
_MOST_KEYS = 10_000


@dataclass
class _Left:
    """Attempts that are left, at a time in seconds."""

    attempts: float
    at: float


class LoginThrottle:
    """Counts the logins of the last minutes, by address and name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any attempt; `clock` returns seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._left: OrderedDict[tuple[str, str | None], _Left] = OrderedDict()

    def attempt(self, name: str, client: str) -> None:
        """Count an attempt to log in.

        Raises:
            Problem: too many have failed; this one is not counted.
        """
        with self._lock:
            limits = [(self._now_left(key, most), most) for key, most in _limits(name, client)]
            wait = max((1 - left.attempts) * WINDOW_SECONDS / most for left, most in limits)
            if wait > 0:
                raise Problem(
                    "too-many-logins", f"too many failed logins; try again in {int(wait) + 1} s",
                    headers={"Retry-After": str(int(wait) + 1)},
                )  # fmt: skip
            for left, _ in limits:
                left.attempts -= 1
            while len(self._left) > _MOST_KEYS:
                self._left.popitem(last=False)

    def succeeded(self, name: str, client: str) -> None:
        """Give the attempt back, and forget those of this name from this address: they were mistyped."""
        with self._lock:
            (own, _), (address, most) = _limits(name, client)
            self._left.pop(own, None)
            left = self._now_left(address, most)
            left.attempts = min(left.attempts + 1, most)

    def _now_left(self, key: tuple[str, str | None], most: int) -> _Left:
        now = self._clock()
        left = self._left.setdefault(key, _Left(most, now))
        self._left.move_to_end(key)
        left.attempts = min(left.attempts + (now - left.at) * most / WINDOW_SECONDS, most)
        left.at = now
        return left


def _limits(name: str, client: str) -> tuple[tuple[tuple[str, str | None], int], tuple[tuple[str, str | None], int]]:
    network = _network(client)
    return ((network, name), PER_NAME), ((network, None), PER_ADDRESS)


def _network(client: str) -> str:
    """Return what stands for everybody at an address: an IPv6 customer has more addresses than could be counted."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
