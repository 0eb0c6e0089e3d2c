"""Acknowledging a message when the broker is gone just then.

A worker takes no more messages than it has processes, so each one that is done must free its place. Kombu frees it only
after the broker has heard of it: with the broker gone for a moment, and every process at work, all places stay taken for
ever. The worker then neither asks for messages nor notices that the connection is gone (seen once in ten kills of the
broker, with kombu 5.7).
"""

from typing import Any

from kombu.transport import redis


class FreeingQoS(redis.QoS):
    """Frees the place of a message whatever becomes of the acknowledgement.

    An acknowledgement that the broker has not heard brings the message again, and its results are stored once.
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


def free_places_always() -> None:
    """Let every connection to a Valkey or Redis, made from now on in this process, use `FreeingQoS`."""
    redis.Channel.QoS = FreeingQoS
