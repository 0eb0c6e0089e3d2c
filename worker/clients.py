"""One client for all commands to the broker.

Kombu makes a new one for each command, and with redis-py 8 that takes as long as the command itself (kombu 5.7; a quarter
of the time of a worker's parent process).
"""

from typing import Any

from kombu.transport import redis

_make_client = redis.Channel._create_client  # noqa: SLF001 (kombu has no other place for it)


def _kept_client(channel: Any, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 (kombu's signature)
    if asynchronous:  # kombu keeps these itself, each with a connection of its own
        return _make_client(channel, asynchronous=True)  # type: ignore[no-untyped-call]
    kept = vars(channel).get("smearcount_client")
    # After trouble with the broker a channel has another pool of connections.
    if kept is None or kept.connection_pool is not channel.pool:
        kept = channel.smearcount_client = _make_client(channel)  # type: ignore[no-untyped-call]
    return kept


def keep_clients() -> None:
    """Let every connection to a Valkey or Redis, made from now on in this process, keep its client."""
    redis.Channel._create_client = _kept_client  # type: ignore[method-assign]  # noqa: SLF001
