"""Looking at everything that a count depends on, one look at a time: it takes seconds and a core."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from smearcount.web.services import Check

#: Who asks again so soon is told the same, in seconds.
FRESH_SECONDS = 10.0


@dataclass(frozen=True)
class Findings:
    """What was found, and when."""

    checks: tuple[Check, ...]
    at: datetime


class DiagnosticsCache:
    """Looks when asked, and remembers for a moment."""

    def __init__(self, diagnose: Callable[[], Sequence[Check]], clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; nothing is looked at yet."""
        self._diagnose = diagnose
        self._clock = clock
        self._lock = threading.Lock()
        self._last: tuple[float, Findings] | None = None

    def latest(self) -> Findings:
        """Return what is found now, or what was found a moment ago; those who ask meanwhile wait for it."""
        with self._lock:
            if self._last is None or self._clock() - self._last[0] > FRESH_SECONDS:
                findings = Findings(tuple(self._diagnose()), datetime.now(UTC))
                self._last = (self._clock(), findings)
            return self._last[1]
