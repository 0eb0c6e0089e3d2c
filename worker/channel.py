"""The connection to the broker: kombu's channel to a Valkey or Redis, corrected in three places (kombu 5.7).

The third: whoever reaches the broker can put anything into the queue, and kombu and Celery end at much of it. A message that
cannot be read is none of the watcher's, so it is discarded with a log line.
"""

import logging
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.exceptions import OperationalError
from kombu.transport import redis
from redis.exceptions import RedisError

_log = logging.getLogger("smearcount.worker")

#: What says nothing about a message: the broker is away, or has none.
_NOT_THE_MESSAGE = (RedisError, OperationalError, OSError, Empty)


class FreeingQoS(redis.QoS):
    """Frees the place of a message even if the acknowledgement fails.

    A worker takes no more messages than it has processes, so each message that is done must free its place. Kombu frees it
    only after the broker has received the acknowledgement: if the broker is away for a moment while every process is busy, all
    places stay taken for ever. The worker then neither asks for messages nor notices that the connection is gone (seen once in
    ten kills of the broker). If an acknowledgement is lost, the broker delivers the message again, and its results are still
    stored once.
    """

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            self._quick_ack(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: Any = False) -> None:  # noqa: FBT002 (kombu's signature)
        """Reject a message; `requeue` delivers it again."""
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        except Exception:
            self._quick_ack(delivery_tag)
            raise

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002 (kombu's signature)
        """Give a message that a worker has kept too long to another one; one that cannot be read is discarded."""
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)  # type: ignore[no-untyped-call]
        except _NOT_THE_MESSAGE:
            raise
        except Exception as error:  # noqa: BLE001 (whatever reading it raises)
            _discarded(error)
            with self.channel.conn_or_acquire(client) as connected:
                self._remove_from_indices(tag, connected.pipeline()).execute()  # type: ignore[no-untyped-call]


class Channel(redis.Channel):
    """Keeps one client for all commands, and discards messages that cannot be read.

    Kombu makes a new client for each command, and with redis-py 8 that takes as long as the command itself (a quarter of the
    time of a worker's parent process).
    """

    QoS = FreeingQoS
    _kept: Any = None

    def basic_consume(self, queue: str, no_ack: bool, callback: Callable[[Any], Any], *args: Any, **kwargs: Any) -> Any:  # noqa: FBT001 (kombu's signature)
        """Consume a queue; a message that its consumer cannot understand is used up."""

        def guarded(message: Any) -> Any:
            try:
                return callback(message)
            except _NOT_THE_MESSAGE:
                raise
            except Exception as error:  # noqa: BLE001 (whatever understanding it raises)
                _discarded(error)
                if not no_ack:
                    message.reject()

        return super().basic_consume(queue, no_ack, guarded, *args, **kwargs)  # type: ignore[no-untyped-call]

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        except _NOT_THE_MESSAGE:
            raise
        except Exception as error:  # noqa: BLE001 (whatever reading it raises; the broker has given it away already)
            _discarded(error)
            return True

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 (kombu's signature)
        if asynchronous:  # kombu keeps these itself, each with a connection of its own
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        # After an error of the connection, a channel has a new pool.
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


def use_channel() -> None:
    """Use `Channel` for every connection to a Valkey or Redis that this process makes from now on."""
    redis.Transport.Channel = Channel


def _discarded(error: Exception) -> None:
    """Say so, without a word of the message: it may hold anything, and much of it."""
    _log.warning("a message that is none of the watcher's was discarded (%s)", type(error).__name__)
