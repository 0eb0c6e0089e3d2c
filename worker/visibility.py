"""A worker whose machine does not show the images that it is given says so, and leaves them to workers that see them.

What it could not see is pending again at once. Would it go on to the next batch, it would be through the whole queue before
those that have work to do are through with one batch: so it idles instead.
"""

import logging
import time
from collections.abc import Callable

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.ingest import visibility
from smearcount.db.records import WorkItem
from smearcount.worker.batches import Worked
from smearcount.worker.reading import is_seen

_log = logging.getLogger("smearcount.worker")

#: Time between two looks whether the image can be seen by now, in seconds.
_LOOK_SECONDS = 0.25


class Sight:
    """Whether one process sees what it is given; each has its own."""

    def __init__(self, *, pause_seconds: float, is_stopping: Callable[[], bool]) -> None:
        """Prepare to idle up to `pause_seconds` after each batch of which nothing is seen."""
        self._pause_seconds = pause_seconds
        self._is_stopping = is_stopping
        self._is_blind = False

    def after(self, database: Database, worked: Worked, trace: str) -> None:
        """Say what of a batch was not seen; if nothing was, return only when there is reason to try another one."""
        if worked.seen:
            self._note_seen(trace)
        if not worked.unseen:
            return
        first, complaint = worked.unseen[0]
        if not self._is_blind:
            facts = {"trace": trace, "slide": worked.slide_id, "images": [item.image_id for item, _ in worked.unseen]}
            _log.warning(
                "%d images of a batch are left to others: %s", len(worked.unseen), complaint.reason, extra=facts
            )
        if not worked.seen:
            self._is_blind = True
            self._idle(database, first, trace)

    def _idle(self, database: Database, item: WorkItem, trace: str) -> None:
        until = time.monotonic() + self._pause_seconds
        while time.monotonic() < until and not self._is_stopping():
            if is_seen(item):
                self._note_seen(trace)
                return
            if _is_upheld(database, item.image_id):
                # Of the file, not of this machine; the next batch will tell.
                self._is_blind = False
                return
            time.sleep(_LOOK_SECONDS)

    def _note_seen(self, trace: str) -> None:
        if self._is_blind:
            _log.info("images are seen here again", extra={"trace": trace})
        self._is_blind = False


def _is_upheld(database: Database, image_id: int) -> bool:
    try:
        return visibility.is_upheld(database, image_id)
    except DatabaseUnavailable:
        return False  # idling needs no database, and the next batch says that it is away
