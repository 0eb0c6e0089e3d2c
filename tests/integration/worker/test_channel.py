"""Our channel to the broker: one client serves all commands, a vanished broker is noticed, places are freed."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from kombu.message import Message
from kombu.messaging import Consumer

from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.db.records import Batch
from smearcount.worker.application import QUEUE, make_application
from smearcount.worker.queue import BatchQueue
from smearcount.worker.settings import WorkerSettings

from support.servers import ValkeyServer, free_port
from support.working import kill_broker


def test_a_channel_keeps_its_client_until_it_has_other_connections(broker_url: str) -> None:
    application = make_application(WorkerSettings(), broker_url)
    with application.connection_for_read() as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
            assert first.ping()
        assert channel.client is not first, "waiting for messages has a connection of its own"

        channel._disconnect_pools()  # as kombu does when the broker was gone
        with channel.conn_or_acquire() as other:
            assert other is not first
            assert other.ping()
    application.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """Yield a Valkey that is reached over TCP."""
    server = ValkeyServer(tmp_path, free_port())
    server.start()
    yield server
    server.stop()


def test_a_connection_that_nobody_answers_is_given_up_soon(server: ValkeyServer) -> None:
    application = make_application(WorkerSettings(), server.url)
    with application.connection_for_read() as connection:
        channel = connection.default_channel
        for pool in (channel.pool, channel.async_pool):
            made = pool.get_connection()
            options = {
                name: made._sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
            }
            assert made._sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert options["TCP_KEEPIDLE"] + options["TCP_KEEPINTVL"] * options["TCP_KEEPCNT"] <= 30
            assert 0 < options["TCP_USER_TIMEOUT"] <= 30_000
            pool.release(made)
    application.close()


def test_batches_go_on_being_sent_after_the_broker_was_gone(own_broker: EmbeddedBroker) -> None:
    own_broker.start()
    queue = BatchQueue(WorkerSettings(), own_broker.url)
    queue.send(Batch(1, (1,)))
    kill_broker(own_broker)
    own_broker.start()

    trace = queue.send(Batch(1, (2,)))

    received: list[Message] = []
    application = make_application(WorkerSettings(), own_broker.url)
    with (
        application.connection_for_read() as connection,
        Consumer(connection, [Queue(QUEUE)], on_message=received.append),
    ):
        while trace not in [message.headers["id"] for message in received]:
            connection.drain_events(timeout=10)
    assert received[-1].payload[0] == [[2]]
    application.close()
    queue.close()


@pytest.mark.parametrize("answer", ["ack", "reject", "requeue"])
def test_a_place_is_free_again_when_the_broker_was_gone_at_the_acknowledgement(
    own_broker: EmbeddedBroker, answer: str
) -> None:
    own_broker.start()
    queue = BatchQueue(WorkerSettings(), own_broker.url)
    queue.send(Batch(1, (1,)))
    queue.close()
    application = make_application(WorkerSettings(), own_broker.url)
    received: list[Any] = []
    with application.connection_for_read() as connection:
        consumer = Consumer(connection, [Queue(QUEUE)], on_message=received.append, prefetch_count=1)
        with consumer:
            connection.drain_events(timeout=10)
            assert consumer.channel is not None
            places = consumer.channel.qos
            assert len(received) == 1
            assert not places.can_consume()

            kill_broker(own_broker)
            with pytest.raises((OperationalError, *connection.connection_errors)):
                getattr(received[0], answer)()

            assert places.can_consume()
            own_broker.start()
    application.close()
