"""Sending images from the journal to the queue, and sending them again when the queue has lost them."""

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.ingest import queueing
from smearcount.db.records import Batch
from smearcount.differential.errors import SmearcountError
from smearcount.watcher.settings import WatcherSettings
from smearcount.watcher.visibility import VisibilityCheck

_log = logging.getLogger("smearcount.watcher")

#: Pause after the broker did not answer, in seconds; doubles up to the second figure.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0

#: Most images queued in one round, so that workers begin with the first ones while the watcher looks for more.
_QUEUED_PER_ROUND = 2048

#: How long to leave a queue alone that is at least half full, in seconds: to count its images costs the database time.
_FULL_SECONDS = 0.5

#: How often to ask the queue what it still holds, in seconds.
_CHECK_SECONDS = 2.0

#: An image that was queued more recently than this may be on its way into or out of the queue.
_JUST_QUEUED = timedelta(seconds=2)

#: Workers process batches in the order in which they were queued. If a batch was queued this long before another one that is
#: finished already, it is not just delayed, not even because its worker died and it was delivered again: it is lost.
_OVERTAKEN_BY = timedelta(minutes=5)


class Depth(Protocol):
    """Messages that wait for a worker, and messages that workers hold."""

    @property
    def waiting(self) -> int: ...  # noqa: D102
    @property
    def held(self) -> int: ...  # noqa: D102


class Queue(Protocol):
    """What the watcher needs of a queue; both calls raise a SmearcountError while the broker does not answer.

    `send` returns an id that names the batch in all logs and in the row that its worker writes.
    """

    def send(self, batch: Batch) -> str: ...  # noqa: D102
    def depth(self) -> Depth: ...  # noqa: D102


class Dispatch:
    """Keeps the queue filled from the journal, with a bounded number of images."""

    def __init__(self, database: Database, queue: Queue, inbox_id: int, settings: WatcherSettings) -> None:
        """Prepare to fill the queue from one inbox."""
        self._database = database
        self._queue = queue
        self._inbox_id = inbox_id
        self._settings = settings
        self._visibility_check = VisibilityCheck(database)
        self._pause = 0.0
        self._resume_at = 0.0
        self._check_at = 0.0
        self._fill_at = 0.0

    def run(self) -> None:
        """Queue pending images as far as there is room, and queue again those that the queue has lost.

        Raises:
            DatabaseUnavailable: the journal does not answer.
        """
        now = time.monotonic()
        if now < self._resume_at:
            return
        try:
            if now >= self._check_at:
                self._check_at = now + _CHECK_SECONDS
                self._requeue_lost()
            if now >= self._fill_at:
                self._fill(now)
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

    def _fill(self, now: float) -> None:
        queued = queueing.count_queued(self._database)
        room = self._settings.queue_images - queued
        # Topping up the queue image by image would make small batches, which cost the workers as much as whole ones.
        if room <= 0 or (queued and room < self._settings.queue_images // 2):
            self._fill_at = now + _FULL_SECONDS
            return
        batches = queueing.take_batches(
            self._database,
            self._inbox_id,
            at_most=min(room, _QUEUED_PER_ROUND),
            batch_size=self._settings.batch_images,
        )
        batches = self._visibility_check.check(batches)
        for position, batch in enumerate(batches):
            try:
                trace = self._queue.send(batch)
            except SmearcountError:
                queueing.put_back(self._database, batches[position:])
                raise
            _log.info(
                "batch of %d images sent",
                len(batch.image_ids),
                extra={"trace": trace, "slide": batch.slide_id, "images": batch.image_ids},
            )

    def _requeue_lost(self) -> None:
        """Queue images again that the journal has as queued, but that are not in the queue.

        Messages are lost with a broker's data, or used up by a worker that could not store its results. Once the queue is empty,
        every image that is still marked as queued is lost. While any message waits or is held, nothing tells its images from lost
        ones, except that images queued long after them are finished. Queueing an image twice is harmless, since its result is
        stored once.
        """
        now = datetime.now(UTC)
        before = now - _JUST_QUEUED
        depth = self._queue.depth()
        if depth.waiting or depth.held:
            finished = queueing.last_finished_was_queued_at(self._database, within=_OVERTAKEN_BY)
            # If that time lies in the future, the clock was set back since, and it shows nothing.
            if finished is None or finished > now:
                return
            before = finished - _OVERTAKEN_BY
        lost = queueing.put_back_lost(self._database, self._inbox_id, queued_before=before)
        if lost:
            _log.warning("%d images were no longer in the queue; they are queued again", lost)
