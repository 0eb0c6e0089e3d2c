"""A worker's places are free again whatever becomes of the acknowledgement."""

from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from kombu.exceptions import OperationalError
from kombu.transport import redis as transport
from working import kill_broker

from db.records import Batch
from worker.acknowledging import free_places_always
from worker.application import QUEUE, make_application
from worker.broker import EmbeddedBroker
from worker.queue import BatchQueue
from worker.settings import WorkerSettings


@pytest.fixture(autouse=True)
def _freeing() -> Iterator[None]:
    """Use our acknowledging in this process, as a worker does, and put kombu's back afterwards."""
    before = transport.Channel.QoS
    free_places_always()
    yield
    transport.Channel.QoS = before


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
        consumer = kombu.Consumer(connection, [kombu.Queue(QUEUE)], on_message=received.append, prefetch_count=1)
        with consumer:
            connection.drain_events(timeout=10)
            places = consumer.channel.qos
            assert len(received) == 1
            assert not places.can_consume()

            kill_broker(own_broker)
            with pytest.raises((OperationalError, *connection.connection_errors)):
                getattr(received[0], answer)()

            assert places.can_consume()
            own_broker.start()
    application.close()
