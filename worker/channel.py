"""How smearcount speaks with the broker: kombu's channel to a Valkey or Redis, mended in two places (kombu 5.7)."""

from typing import Any

from kombu.transport import redis


class FreeingQoS(redis.QoS):
    """Frees the place of a message whatever becomes of the acknowledgement.

    A worker takes no more messages than it has processes, so each one that is done must free its place. Kombu frees it
    only after the broker has heard of it: with the broker gone for a moment, and every process at work, all places stay
    taken for ever. The worker then neither asks for messages nor notices that the connection is gone (seen once in ten
    kills of the broker). An acknowledgement that the broker has not heard brings the message again, and its results are
    stored once.
    """

    def ack(self, delivery_tag: str) -> None:
        """Tell the broker that the message is done."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except Exception:
            self._quick_ack(delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: Any = False) -> None:  # noqa: FBT002 (kombu's signature)
        """Tell the broker that the message is not done, and whether it should come again."""
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        except Exception:
            self._quick_ack(delivery_tag)
            raise


class Channel(redis.Channel):
    """Keeps one client for all commands.

    Kombu makes a new one for each command, and with redis-py 8 that takes as long as the command itself (a quarter of the
    time of a worker's parent process).
    """

    QoS = FreeingQoS
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 (kombu's signature)
        if asynchronous:  # kombu keeps these itself, each with a connection of its own
            return super()._create_client(asynchronous=True)  # type: ignore[no-untyped-call]
        # After trouble with the broker a channel has another pool of connections.
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[no-untyped-call]
        return self._kept


def use_channel() -> None:
    """Let every connection to a Valkey or Redis, made from now on in this process, use `Channel`."""
    redis.Transport.Channel = Channel
