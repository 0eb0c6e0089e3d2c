"""Totals that need everything to be counted, counted again only as often as it costs little."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from smearcount.db.engine.database import Database
from smearcount.db.queries.inboxes import progress
from smearcount.db.queries.usage import ModelUse, cells_per_model, time_spent
from smearcount.db.records import Progress, TimeSpent

#: Largest share of the time that may go into counting, and seconds after which it is done all the same.
_COUNTING_SHARE, _OLDEST_SECONDS = 0.01, 60.0


@dataclass(frozen=True)
class Totals:
    """All images, slides, calls and work of all time."""

    progress: Progress
    models: tuple[ModelUse, ...]
    spent: TimeSpent


class TotalsCache:
    """Counts when asked, unless the last counting was so lately that counting would take more than its share of the time.

    With some hundred thousand images it counts every other second, with a million every half minute.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        """Keep the database, nothing is counted yet; `clock` returns seconds."""
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._last: Totals | None = None
        self._counted_at = self._again_at = 0.0

    def latest(self) -> tuple[Totals, float]:
        """Return the totals and their age in seconds; who asks during a count waits for it.

        Raises:
            DatabaseError: the database does not answer, or cannot be used.
        """
        with self._lock:
            begun_at = self._clock()
            if self._last is None or begun_at >= self._again_at:
                self._last = Totals(
                    progress(self._database), tuple(cells_per_model(self._database)), time_spent(self._database)
                )
                took = self._clock() - begun_at
                self._counted_at = begun_at
                self._again_at = begun_at + min(took / _COUNTING_SHARE, _OLDEST_SECONDS)
            return self._last, self._clock() - self._counted_at
