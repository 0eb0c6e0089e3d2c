"""The latest diagnostics of the installation; making them takes seconds and a core, so one request at a time does."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from smearcount.web.services import Check

#: Seconds for which diagnostics are given again instead of being made anew.
FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class Findings:
    """The results of all checks, and when they were made."""

    checks: tuple[Check, ...]
    at: datetime


class DiagnosticsCache:
    """Makes diagnostics when asked, and keeps them for a moment."""

    def __init__(self, diagnose: Callable[[], Sequence[Check]], clock: Callable[[], float] = time.monotonic) -> None:
        """Keep the function that makes diagnostics; `clock` returns seconds."""
        self._diagnose = diagnose
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, Findings] | None = None

    @property
    def last(self) -> Findings | None:
        """The diagnostics that somebody asked for last; None before the first time."""
        return None if self._last is None else self._last[1]

    def latest(self) -> Findings:
        """Return diagnostics of this moment or of a moment ago; who asks while they are being made waits for them."""
        with self._lock:
            if self._last is None or self._clock() - self._last[0] > FRESH_SECONDS:
                findings = Findings(tuple(self._diagnose()), datetime.now(UTC))
                self._last = (self._clock(), findings)
            return self._last[1]
