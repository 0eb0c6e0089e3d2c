"""The queue from the watcher's side: it sends batches and asks how many are left."""

from dataclasses import dataclass

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from smearcount.db.records import Batch
from smearcount.worker.application import CLASSIFY, QUEUE, make_application
from smearcount.worker.errors import BrokerUnavailable
from smearcount.worker.settings import WorkerSettings

#: Otherwise kombu tries for seconds to connect, and waits for ever for an answer.
_SINGLE_TRY = {"max_retries": 0, "socket_timeout": 3}

#: In place of the arguments as text, which Celery shows in events that nobody reads; writing it took as long as all the rest.
_NO_TEXT = ""


@dataclass(frozen=True)
class QueueDepth:
    """Messages that wait for a worker, and messages that workers hold."""

    waiting: int
    held: int


class BatchQueue:
    """Sends batches to the workers, in the order given."""

    def __init__(self, settings: WorkerSettings, broker_url: str) -> None:
        """Prepare to connect to the broker on first use."""
        self._application: Celery = make_application(settings, broker_url)
        # The watcher has other work to do and tries again later; only workers wait for the broker.
        self._application.conf.broker_transport_options.update(_SINGLE_TRY)

    def close(self) -> None:
        """Close the connections."""
        self._application.close()

    def send(self, batch: Batch) -> str:
        """Put a batch into the queue; return the id of the message, which workers write into their logs.

        Raises:
            BrokerUnavailable: the broker does not answer; the batch may or may not be in the queue.
        """
        try:
            sent = self._application.send_task(
                CLASSIFY, args=[list(batch.image_ids)], queue=QUEUE, retry=False, argsrepr=_NO_TEXT, kwargsrepr=_NO_TEXT
            )
        except (OperationalError, redis.RedisError, OSError) as error:
            raise _unavailable(error) from error
        return str(sent.id)

    def depth(self) -> QueueDepth:
        """Return how many messages the queue and the workers hold.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        try:
            with self._application.connection_for_read() as connection:
                connection.ensure_connection(max_retries=0)
                client = connection.default_channel.client
                return QueueDepth(waiting=int(client.llen(QUEUE)), held=int(client.hlen("unacked")))
        except (OperationalError, redis.RedisError, OSError) as error:
            raise _unavailable(error) from error


def _unavailable(error: Exception) -> BrokerUnavailable:
    return BrokerUnavailable(f"the broker does not answer: {(str(error).splitlines() or [type(error).__name__])[0]}")
