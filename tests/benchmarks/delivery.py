"""How fast results leave: messages a second to a receiver on this machine, and from a signature to the receiver."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from smearcount.db.delivery.destinations import destination_health, register
from smearcount.db.engine.database import Database
from smearcount.db.migration import migrate

from benchmarks.pipeline import BenchmarkFailed
from support.receiving.archive import add_slides, sign_all
from support.receiving.mllp import Lis, Received, frame
from support.running import Smearcount

#: Slides that are signed one by one, to see how long each takes.
_ONE_BY_ONE = 20
_PATIENCE = 600.0


@dataclass(frozen=True)
class Delivered:
    """What was measured."""

    messages: int
    messages_per_second: float
    #: From the moment of the signature to the arrival at the receiver.
    seconds_to_receiver_median: float
    seconds_to_receiver_longest: float


def delivered(url: str, folder: Path, *, messages: int) -> Delivered:
    """Sign slides in an empty database, and let the command `deliver` send them to a receiver in this process."""
    with Database(url) as database, Lis(_at_once) as lis:
        migrate(database)
        register(database, {"lis": None})
        slides = add_slides(database, messages + _ONE_BY_ONE)
        command = Smearcount(folder / "data", {"SMEARCOUNT_DESTINATIONS": lis.url, "SMEARCOUNT_DATABASE_URL": url})
        command.start("deliver")
        try:
            _until(lambda: destination_health(database)[0].served_at is not None, "the sender")
            sign_all(database, slides[:messages])
            began = time.monotonic()
            _until(lambda: len(lis.received) >= messages, "all messages")
            rate = messages / (time.monotonic() - began)
            waits = []
            for number, slide in enumerate(slides[messages:], start=messages + 1):
                time.sleep(0.2)
                signed = time.monotonic()
                sign_all(database, [slide])
                lis.until(number, seconds=_PATIENCE)
                waits.append(time.monotonic() - signed)
        finally:
            command.end()
    return Delivered(messages, rate, statistics.median(waits), max(waits))


def _at_once(message: Received) -> Sequence[bytes | None]:
    """Accept a message without a look at more than its name: what is measured is the sender."""
    control_id = message.text.split("|", 10)[9]
    return [frame(f"MSH|^~\\&|LIS|||||ACK|{control_id}|P|2.5.1\rMSA|AA|{control_id}\r")]


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"waited in vain for {what}")
        time.sleep(0.005)
