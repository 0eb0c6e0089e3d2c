"""The connection to the broker: kombu's channel to a Valkey or Redis, corrected in two places (kombu 5.7)."""

from typing import Any

from kombu.transport import redis


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


class Channel(redis.Channel):
    """Keeps one client for all commands.

    Kombu makes a new client for each command, and with redis-py 8 that takes as long as the command itself (a quarter of the
    time of a worker's parent process).
    """

    QoS = FreeingQoS
    _kept: Any = None

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
