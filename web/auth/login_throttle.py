"""Limits failed logins, so that nobody can try one password after the other."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from smearcount.web.problems import Problem

#: Failures count for this long.
WINDOW_SECONDS = 300.0

#: Most failures within the window for one name from one address, and for all names from one address. A name by itself
#: has no limit: with one, anybody could lock a colleague out.
PER_NAME, PER_ADDRESS = 5, 30

#: Most keys that are kept; beyond this number the oldest are dropped.
_MOST_KEYS = 10_000


class LoginThrottle:
    """Counts the failed logins of the last minutes, by address and name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any failure; `clock` returns seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str | None], deque[float]] = OrderedDict()

    def allow(self, name: str, client: str) -> None:
        """Return if a login may be tried.

        Raises:
            Problem: too many logins have failed.
        """
        with self._lock:
            for key, most in self._limits(name, client):
                failures = self._recent(key)
                if len(failures) >= most:
                    wait = int(failures[-most] + WINDOW_SECONDS - self._clock()) + 1
                    raise Problem(
                        "too-many-logins", f"too many failed logins; try again in {wait} s",
                        headers={"Retry-After": str(wait)},
                    )  # fmt: skip

    def failed(self, name: str, client: str) -> None:
        """Count a failure."""
        with self._lock:
            for key, _ in self._limits(name, client):
                self._failures.setdefault(key, deque(maxlen=PER_ADDRESS)).append(self._clock())
                self._failures.move_to_end(key)
            while len(self._failures) > _MOST_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, name: str, client: str) -> None:
        """Drop the failures of this name from this address: they were mistyped."""
        with self._lock:
            self._failures.pop((client, name), None)

    def _limits(self, name: str, client: str) -> tuple[tuple[tuple[str, str | None], int], ...]:
        return ((client, name), PER_NAME), ((client, None), PER_ADDRESS)

    def _recent(self, key: tuple[str, str | None]) -> deque[float]:
        failures = self._failures.get(key, deque())
        while failures and failures[0] <= self._clock() - WINDOW_SECONDS:
            failures.popleft()
        return failures
