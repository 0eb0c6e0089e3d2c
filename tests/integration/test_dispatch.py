"""Keeping the queue filled from the journal, with a real database and a real Valkey."""

from collections.abc import Iterator

import pytest
from journalling import MODEL, classified, new_inbox, seen

from db import journal, results
from db.database import Database
from watcher.dispatch import Dispatch
from watcher.settings import WatcherSettings
from worker.queue import BatchQueue
from worker.settings import WorkerSettings


@pytest.fixture
def queue(broker_url: str) -> Iterator[BatchQueue]:
    """Yield an empty queue."""
    opened = BatchQueue(WorkerSettings(), broker_url)
    yield opened
    opened.close()


def finish(database: Database, ids: range) -> None:
    """Do with images what a worker does."""
    begun, _ = results.begin_fresh(database, list(ids))
    assert len(begun) == len(ids)
    results.store(database, MODEL, "bench", [classified(item.image_id, str(item.image_id)) for item in begun])


def test_the_queue_is_refilled_with_whole_batches_and_not_image_by_image(database: Database, queue: BatchQueue) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S/{number:03}.jpg") for number in range(100)])
    dispatch = Dispatch(database, queue, inbox, WatcherSettings(queue_images=40, batch_images=4))

    dispatch.run()
    assert (journal.count_queued(database), queue.depth().waiting) == (40, 10)

    finish(database, range(1, 11))
    dispatch.run()
    assert (journal.count_queued(database), queue.depth().waiting) == (30, 10), "room for ten is left as it is"

    finish(database, range(11, 21))
    dispatch.run()
    assert (journal.count_queued(database), queue.depth().waiting) == (40, 15), "half empty, it is filled up"


def test_what_is_left_is_queued_however_little_it_is(database: Database, queue: BatchQueue) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S/{number:03}.jpg") for number in range(45)])
    dispatch = Dispatch(database, queue, inbox, WatcherSettings(queue_images=40, batch_images=4))

    dispatch.run()
    finish(database, range(1, 41))
    dispatch.run()

    assert journal.count_queued(database) == 5
