"""Whether this machine shows the images that its workers are given; what it does not show is left to other machines.

Images that a worker could not see are pending again at once. If the worker went straight on, it would run through the whole
queue while the machines that do see the images are still busy with one batch. So it idles instead.
"""

import logging
import time
from collections.abc import Callable

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import visibility
from smearcount.db.records import WorkItem
from smearcount.worker.batches import BatchSummary
from smearcount.worker.reading import is_visible

_log = logging.getLogger("smearcount.worker")

#: Time between two checks of an image that was not visible, in seconds.
_CHECK_SECONDS = 0.25


class Visibility:
    """Keeps whether one worker process sees the images that it is given; each process has its own."""

    def __init__(self, *, pause_seconds: float, is_stopping: Callable[[], bool]) -> None:
        """Prepare to idle up to `pause_seconds` after each batch of which nothing is visible."""
        self._pause_seconds = pause_seconds
        self._is_stopping = is_stopping
        self._sees_nothing = False

    def after_batch(self, database: Database, summary: BatchSummary, trace: str) -> None:
        """Log which images of a batch were not visible; if none was visible, idle until there is reason to try another batch."""
        if summary.visible:
            self._note_visible(trace)
        if not summary.not_visible:
            return
        first, missed = summary.not_visible[0]
        if not self._sees_nothing:
            images = [item.image_id for item, _ in summary.not_visible]
            fields = {"trace": trace, "slide": summary.slide_id, "images": images}
            _log.warning("%d images of a batch are left to others: %s", len(images), missed.reason, extra=fields)
        if not summary.visible:
            self._sees_nothing = True
            self._idle(database, first, trace)

    def _idle(self, database: Database, item: WorkItem, trace: str) -> None:
        until = time.monotonic() + self._pause_seconds
        while time.monotonic() < until and not self._is_stopping():
            if is_visible(item):
                self._note_visible(trace)
                return
            if _is_confirmed_by_watcher(database, item.image_id):
                # The file is gone or changed, which says nothing about this machine; the next batch will show.
                self._sees_nothing = False
                return
            time.sleep(_CHECK_SECONDS)

    def _note_visible(self, trace: str) -> None:
        if self._sees_nothing:
            _log.info("images are seen here again", extra={"trace": trace})
        self._sees_nothing = False


def _is_confirmed_by_watcher(database: Database, image_id: int) -> bool:
    try:
        return visibility.is_confirmed_by_watcher(database, image_id)
    except DatabaseUnavailable:
        return False  # idling needs no database, and the next batch reports that it is away
