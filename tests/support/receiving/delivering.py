"""A laboratory with many small slides to sign, and a sender at work for it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from smearcount.db.delivery.destinations import register
from smearcount.db.engine.database import Database
from smearcount.delivery.destinations import Destination, destination
from smearcount.delivery.sender import Sender
from smearcount.delivery.service import Service
from smearcount.delivery.settings import DeliverySettings
from smearcount.differential.classes import CellClass

from support.examining import DEFAULTS
from support.reviewing import NEUTROPHIL, Bench


def to(url: str, name: str = "lis", **fields: Any) -> Destination:
    """Return a destination."""
    return destination(name, {"url": url, "timeout": 20, **fields})


def sender(database: Database, where: Destination) -> Sender:
    """Return a sender of a destination, which is known from now on if it was not known before."""
    ids = register(database, {where.name: where.since})
    return Sender(database, where, ids[where.name], counts=DEFAULTS, version="0.0.0", longest_pause=0.01)


def send_all(one: Sender, *, rounds: int = 1000) -> None:
    """Let a sender do rounds until nothing more is to be sent at once."""
    one._look_at = 0.0  # what a person sends again is looked for every other second alone
    for _ in range(rounds):
        if not one.round():
            return
    raise AssertionError("the sender does not come to an end")


@contextmanager
def serving(
    database: Database, *destinations: Destination, look: float = 0.05, pause: float = 1.0
) -> Iterator[Service]:
    """Let a service send in a thread; it looks often and waits for a second at most."""
    settings = DeliverySettings(deliver_look_seconds=look, deliver_pause_seconds=pause)
    service = Service(database, destinations, settings, DEFAULTS, version="0.0.0")
    failed: list[BaseException] = []

    def run() -> None:
        try:
            service.run()
        except BaseException as error:  # noqa: BLE001 (raised again below)
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield service
    finally:
        service.stop()
        thread.join()
    if failed:
        raise failed[0]


def slides(bench: Bench, *names: str, cells: int = 2) -> list[int]:
    """Add complete slides of a few cells, and return their ids."""
    for name in names:
        bench.fill(name, [CellClass.NEUTROPHIL] * cells)
    bench.complete()
    return [bench.slide_id(name) for name in names]


__all__ = ["NEUTROPHIL", "send_all", "sender", "serving", "slides", "to"]
