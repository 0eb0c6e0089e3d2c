"""Failed logins, counted so that nobody can try passwords at will."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from smearcount.web.problems import Problem

WINDOW_SECONDS = 300.0

#: Failures within the window for one name from one address, and for one address whatever the name. A name alone is not
#: limited: anyone could lock a colleague out.
PER_NAME, PER_ADDRESS = 5, 30

#: Beyond so many keys the oldest are forgotten.
_MOST_KEYS = 10_000


class Attempts:
    """Failed logins of the last minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with none."""
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str | None], deque[float]] = OrderedDict()

    def allow(self, name: str, client: str) -> None:
        """Let a login be tried.

        Raises:
            Problem: too many have failed.
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
        """Forget the failures of this name from there: they were slips."""
        with self._lock:
            self._failures.pop((client, name), None)

    def _limits(self, name: str, client: str) -> tuple[tuple[tuple[str, str | None], int], ...]:
        return ((client, name), PER_NAME), ((client, None), PER_ADDRESS)

    def _recent(self, key: tuple[str, str | None]) -> deque[float]:
        failures = self._failures.get(key, deque())
        while failures and failures[0] <= self._clock() - WINDOW_SECONDS:
            failures.popleft()
        return failures
