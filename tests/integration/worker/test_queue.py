"""The queue as the watcher sees it, with the real server."""

import base64
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import redis

from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.db.records import Batch
from smearcount.worker.application import CLASSIFY, KEY_PREFIX, QUEUE, make_application
from smearcount.worker.errors import BrokerUnavailable
from smearcount.worker.queue import BatchQueue, QueueDepth
from smearcount.worker.settings import WorkerSettings

from support.working import kill_broker

#: Longest that a call may take when the broker does not answer, in seconds.
LONGEST_CALL = 5.0

Opener = Callable[[str], BatchQueue]


@pytest.fixture
def open_queue() -> Iterator[Opener]:
    """Yield a way to open queues that are closed with the test."""
    with ExitStack() as stack:

        def opened(url: str) -> BatchQueue:
            queue = BatchQueue(WorkerSettings(), url)
            stack.callback(queue.close)
            return queue

        yield opened


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url.replace("redis+socket://", "unix://"), decode_responses=True)


def _assert_unavailable(call: Callable[[], object]) -> None:
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=r"^the broker does not answer: \S"):
        call()
    assert time.monotonic() - started < LONGEST_CALL


def test_the_depth_counts_what_waits(broker_url: str, open_queue: Opener) -> None:
    queue = open_queue(broker_url)
    assert queue.depth() == QueueDepth(waiting=0, held=0)

    for image_id in range(3):
        queue.send(Batch(1, (image_id,)))

    assert queue.depth() == QueueDepth(waiting=3, held=0)


def test_the_depth_counts_what_is_taken_and_not_yet_done_with(broker_url: str, open_queue: Opener) -> None:
    queue = open_queue(broker_url)
    queue.send(Batch(1, (1,)))
    queue.send(Batch(1, (2,)))

    with make_application(WorkerSettings(), broker_url).connection_for_read() as connection:
        message = connection.default_channel.basic_get(QUEUE)
        assert queue.depth() == QueueDepth(waiting=1, held=1)
        message.ack()

    assert queue.depth() == QueueDepth(waiting=1, held=0)


def test_batches_come_out_in_the_order_they_went_in(broker_url: str, open_queue: Opener) -> None:
    queue = open_queue(broker_url)
    for image_id in (3, 1, 2):
        queue.send(Batch(1, (image_id,)))

    with make_application(WorkerSettings(), broker_url).connection_for_read() as connection:
        messages = [connection.default_channel.basic_get(QUEUE) for _ in range(3)]
        assert [message.payload[0] for message in messages] == [[[3]], [[1]], [[2]]]
        for message in messages:
            message.ack()


def test_a_message_holds_image_ids_and_no_names(broker_url: str, open_queue: Opener) -> None:
    open_queue(broker_url).send(Batch(7, (11, 12)))

    with _client(broker_url) as client:
        (raw,) = client.lrange(f"{KEY_PREFIX}{QUEUE}", 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == CLASSIFY
    assert json.loads(base64.b64decode(message["body"]))[0] == [[11, 12]]
    assert message["headers"]["argsrepr"] == "", "nobody reads it, and it takes time"
    assert message["content-type"] == "application/json"


def test_every_key_is_set_apart_from_other_programs(broker_url: str, open_queue: Opener) -> None:
    queue = open_queue(broker_url)
    queue.send(Batch(1, (1,)))
    queue.send(Batch(1, (2,)))

    with make_application(WorkerSettings(), broker_url).connection_for_read() as connection, _client(broker_url) as own:
        message = connection.default_channel.basic_get(QUEUE)
        queue.depth()
        keys = own.keys("*")
        message.ack()

    assert keys
    assert [key for key in keys if not key.startswith(KEY_PREFIX)] == []


def test_the_queue_goes_on_after_the_broker_was_killed_and_restarted(
    own_broker: EmbeddedBroker, open_queue: Opener
) -> None:
    own_broker.start()
    queue = open_queue(own_broker.url)
    queue.send(Batch(1, (1,)))
    assert queue.depth().waiting == 1

    for waiting in (2, 3):
        kill_broker(own_broker)
        own_broker.start()
        try:
            queue.send(Batch(1, (waiting,)))
        except BrokerUnavailable:  # the first call may find its connection broken
            queue.send(Batch(1, (waiting,)))
        assert queue.depth().waiting == waiting


def test_a_broker_that_is_gone_is_reported_and_found_again(own_broker: EmbeddedBroker, open_queue: Opener) -> None:
    own_broker.start()
    queue = open_queue(own_broker.url)
    queue.send(Batch(1, (1,)))
    own_broker.stop()

    for _ in range(2):
        _assert_unavailable(lambda: queue.send(Batch(1, (2,))))
        _assert_unavailable(queue.depth)

    own_broker.start()
    queue.send(Batch(1, (2,)))
    assert queue.depth() == QueueDepth(waiting=2, held=0)


def test_a_broker_that_was_never_there_is_reported(own_broker: EmbeddedBroker, open_queue: Opener) -> None:
    queue = open_queue(own_broker.url)

    _assert_unavailable(lambda: queue.send(Batch(1, (1,))))
    _assert_unavailable(queue.depth)


def test_a_closed_port_is_reported(open_queue: Opener) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listened to
        queue = open_queue(f"redis://127.0.0.1:{taken.getsockname()[1]}/0")

        for _ in range(2):
            _assert_unavailable(lambda: queue.send(Batch(1, (1,))))
            _assert_unavailable(queue.depth)


def test_a_broker_that_hangs_is_reported_and_found_again(own_broker: EmbeddedBroker, open_queue: Opener) -> None:
    own_broker.start()
    queue = open_queue(own_broker.url)
    queue.send(Batch(1, (1,)))
    assert own_broker.pid is not None
    os.kill(own_broker.pid, signal.SIGSTOP)
    try:
        _assert_unavailable(lambda: queue.send(Batch(1, (2,))))
        _assert_unavailable(queue.depth)
    finally:
        os.kill(own_broker.pid, signal.SIGCONT)

    queue.send(Batch(1, (2,)))
    assert queue.depth().waiting >= 2


def test_a_server_that_is_no_broker_is_reported(open_queue: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        queue = open_queue(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")

        _assert_unavailable(queue.depth)
