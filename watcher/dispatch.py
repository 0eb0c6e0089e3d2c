"""From the journal into the queue, and back when the queue has lost it."""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from db import journal
from db.database import Database
from db.errors import DatabaseError
from db.records import Batch
from differential.errors import SmearcountError
from watcher.complaints import Complaints
from watcher.settings import WatcherSettings

_log = logging.getLogger("smearcount.watcher")

#: Pause after the broker did not answer, in seconds; doubles up to the second figure.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0

#: A queue that is not empty is filled up when there is room for so many batches, or when it is half empty.
_REFILL_BATCHES = 8

#: How often the queue is asked what it still holds, in seconds.
_CHECK_SECONDS = 2.0

#: An image queued less long ago than this may be on its way into or out of the queue just now.
_JUST_QUEUED = timedelta(seconds=2)


class Depth(Protocol):
    """Messages that wait for a worker, and messages that workers hold."""

    @property
    def waiting(self) -> int: ...  # noqa: D102
    @property
    def held(self) -> int: ...  # noqa: D102


class Queue(Protocol):
    """What the watcher needs of a queue; both calls raise a SmearcountError while the broker does not answer.

    What `send` returns names the batch from here to the row that its worker writes.
    """

    def send(self, batch: Batch) -> str: ...  # noqa: D102
    def depth(self) -> Depth: ...  # noqa: D102


class Dispatch:
    """Keeps the queue filled from the journal, but never with more than a bounded number of images."""

    def __init__(self, database: Database, queue: Queue, inbox_id: int, settings: WatcherSettings) -> None:
        """Prepare; nothing is sent yet."""
        self._database = database
        self._queue = queue
        self._inbox_id = inbox_id
        self._settings = settings
        self._complaints = Complaints(database)
        self._pause = 0.0
        self._resume_at = 0.0
        self._check_at = 0.0

    def run(self) -> None:
        """Queue what is pending as far as there is room, and take back what the queue has lost.

        Raises:
            DatabaseUnavailable: the journal does not answer.
        """
        now = time.monotonic()
        if now < self._resume_at:
            return
        try:
            if now >= self._check_at:
                self._check_at = now + _CHECK_SECONDS
                self._take_back_lost()
            self._fill()
        except DatabaseError:
            raise
        except SmearcountError as error:
            self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
            self._resume_at = now + self._pause
            _log.warning("%s; journalling goes on, the queue is tried again in %.0f s", error, self._pause)
        else:
            if self._pause:
                _log.info("the broker answers again")
            self._pause = 0.0

    def _fill(self) -> None:
        queued = journal.count_queued(self._database)
        room = self._settings.queue_images - queued
        # A queue topped up image by image holds small batches, which cost the workers as much as whole ones.
        worthwhile = min(_REFILL_BATCHES * self._settings.batch_images, self._settings.queue_images // 2)
        if room <= 0 or (queued and room < worthwhile):
            return
        batches = journal.take_batches(
            self._database, self._inbox_id, at_most=room, batch_size=self._settings.batch_images
        )
        batches = self._complaints.answered(batches)
        for position, batch in enumerate(batches):
            try:
                trace = self._queue.send(batch)
            except SmearcountError:
                journal.put_back(self._database, batches[position:])
                raise
            _log.info(
                "batch of %d images sent",
                len(batch.image_ids),
                extra={"trace": trace, "slide": batch.slide_id, "images": batch.image_ids},
            )

    def _take_back_lost(self) -> None:
        """Queue again what the journal says is in the queue but is not.

        Messages get lost with a broker's data, or are used up by a worker that could not store its results. While any
        message waits or is held, its images cannot be told from lost ones; once the queue is empty, all that is still
        marked as queued is lost. Queueing an image twice is harmless, since its result is stored once.
        """
        before = datetime.now(UTC)
        depth = self._queue.depth()
        if depth.waiting or depth.held:
            return
        lost = journal.put_back_lost(self._database, self._inbox_id, queued_before=before - _JUST_QUEUED)
        if lost:
            _log.warning("%d images were no longer in the queue; they are queued again", lost)
