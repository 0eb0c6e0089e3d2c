"""What can happen between a signature and the receiver."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from smearcount.db.delivery.decisions import deliveries, send_again
from smearcount.db.errors import DatabaseError
from smearcount.db.schema import DeliveryState

from faults.delivery.laboratory import Laboratory, accepting
from support.receiving.mllp import Received, acknowledgement

#: Seconds that a receiver stays wrong, and that a server is gone.
_A_WHILE = 1.5


@dataclass(frozen=True)
class Fault:
    """One kind of disturbance."""

    name: str
    what: str
    #: What people notice.
    users: str
    inject: Callable[[Laboratory], None]
    times: int = 4
    #: Senders that run at the same time.
    senders: int = 1


def _killed(how: signal.Signals) -> Callable[[Laboratory], None]:
    return lambda laboratory: laboratory.hit_sender(how)


def _frozen(laboratory: Laboratory) -> None:
    laboratory.hit_sender(signal.SIGSTOP)
    time.sleep(_A_WHILE)
    for sender in laboratory.running():
        sender.send_signal(signal.SIGCONT)


def _receiver_gone(laboratory: Laboratory) -> None:
    laboratory.lis.stop()
    time.sleep(_A_WHILE)
    laboratory.lis.start()


def _answering(how: Callable[[Received], Sequence[bytes | None]]) -> Callable[[Laboratory], None]:
    def inject(laboratory: Laboratory) -> None:
        laboratory.lis.answering = how
        time.sleep(_A_WHILE)
        laboratory.lis.answering = accepting

    return inject


def _slow(message: Received) -> Sequence[bytes | None]:
    time.sleep(3)
    return [acknowledgement(message)]


def _half(message: Received) -> Sequence[bytes | None]:
    return [acknowledgement(message)[:20], None]


def _twice(message: Received) -> Sequence[bytes | None]:
    return [acknowledgement(message)] * 2


def _lost_answer(_: Received) -> Sequence[bytes | None]:
    return [None]


def _of_others(message: Received) -> Sequence[bytes | None]:
    return [acknowledgement(message).replace(message.control_id.encode(), b"0" * 20), acknowledgement(message)]


def _refusing(laboratory: Laboratory) -> None:
    laboratory.lis.answering = lambda message: [acknowledgement(message, "AE", "order not known yet")]
    time.sleep(_A_WHILE)
    laboratory.lis.answering = accepting
    # A person looks at what was refused, and sends it again.
    for _ in range(100):
        with suppress(DatabaseError):
            parked = deliveries(laboratory.database, states=[DeliveryState.PARKED], limit=1000)
            for one in parked:
                send_again(laboratory.database, one.id, by="Ada")
            if parked:
                return
        time.sleep(0.05)


def _database_gone(how: signal.Signals) -> Callable[[Laboratory], None]:
    def inject(laboratory: Laboratory) -> None:
        laboratory.server.stop(how)
        time.sleep(_A_WHILE)
        laboratory.server.start()

    return inject


NOTHING = Fault("none", "none", "", lambda _: None, times=0)

FAULTS: tuple[Fault, ...] = (
    Fault("sender-killed", "sender, SIGKILL", "Results reach the receiver later; nothing else.",
          _killed(signal.SIGKILL)),
    Fault("sender-restarted", "sender, SIGTERM (restart)", "Results reach the receiver later; nothing else.",
          _killed(signal.SIGTERM)),
    Fault("sender-frozen", "sender, SIGSTOP, SIGCONT", "Results wait; no other sender takes over from one that only hangs.",
          _frozen),
    Fault("second-sender", "two senders, of which one is killed", "Nothing: the other one goes on at once.",
          _killed(signal.SIGKILL), senders=2),
    Fault("receiver-gone", "receiver ended and started again", "The page of deliveries says that it gives no answer.",
          _receiver_gone),
    Fault("receiver-slow", "receiver answers too late", "Messages come to it again, under their control ids.",
          _answering(_slow)),
    Fault("receiver-half", "receiver answers half and hangs up", "Messages come to it again, under their control ids.",
          _answering(_half)),
    Fault("receiver-twice", "receiver answers twice", "Nothing.", _answering(_twice)),
    Fault("receiver-answer-lost", "receiver takes the message, and its answer is lost",
          "Messages come to it again, under their control ids.", _answering(_lost_answer)),
    Fault("receiver-of-others", "answers of other messages in between", "Nothing.", _answering(_of_others)),
    Fault("receiver-refuses", "receiver refuses for a while (AE), and a person sends again",
          "What was refused is parked with the reason, and holds back later messages of its slide.", _refusing),
    Fault("database-killed", "PostgreSQL, SIGKILL of the whole server",
          "Nobody can sign; nothing is sent.", _database_gone(signal.SIGKILL), times=3),
    Fault("database-restarted", "PostgreSQL, restart", "Nobody can sign; nothing is sent.",
          _database_gone(signal.SIGINT), times=3),
)  # fmt: skip


def _two_at_random(laboratory: Laboratory) -> None:
    chance: random.Random = laboratory.chance
    for fault in chance.sample(FAULTS, 2):
        fault.inject(laboratory)


ALL = (*FAULTS, Fault("two-at-random", "two of them, one after the other, at random", "", _two_at_random, times=5))
