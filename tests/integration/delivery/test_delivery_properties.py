"""Whatever people do, whatever is killed and whatever the receiver does: it knows the last state, in order, and once."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smearcount.db.delivery.destinations import register
from smearcount.db.engine.database import Database
from smearcount.db.queries.slides import slide
from smearcount.db.review import sign_off, withdrawal
from smearcount.delivery.destinations import Destination
from smearcount.delivery.sender import Sender
from smearcount.delivery.transports.transport import Letter, Transport
from smearcount.differential.status import Status

from support.examining import DEFAULTS
from support.examples import examples
from support.receiving.delivering import slides, to
from support.receiving.mllp import Lis, Received, acknowledgement
from support.reviewing import Bench, sign

_NUMBERS = itertools.count()


class Killed(BaseException):
    """The process is gone in the middle of what it did."""


class Mortal(Sender):
    """A sender that is killed after so many steps: before or after a message, or before or after something is written."""

    def __init__(self, database: Database, where: Destination, *, steps: int | None) -> None:
        ids = register(database, {where.name: where.since})
        super().__init__(database, where, ids[where.name], counts=DEFAULTS, version="0.0.0", longest_pause=0.001)
        self._steps = steps
        self._transport = _Mortal(self._transport, self)

    def step(self) -> None:
        """Go on, or die."""
        if self._steps is not None:
            self._steps -= 1
            if self._steps < 0:
                raise Killed

    def _write(self) -> None:
        self.step()
        super()._write()
        self.step()

    def _make_messages(self) -> bool:
        is_more = super()._make_messages()
        self.step()
        return is_more

    def vanish(self) -> None:
        """Be gone as a killed process is: nothing more is written, and the system closes what was open."""
        self._transport.close()
        self._lease.release()


class _Mortal:
    """A way on which the sender may die before or after a message."""

    def __init__(self, way: Transport, sender: Mortal) -> None:
        self._way = way
        self._sender = sender

    def send(self, letter: Letter) -> str:
        """Send a message."""
        self._sender.step()
        answer = self._way.send(letter)
        self._sender.step()
        return answer

    def check(self) -> str:
        """Check the way."""
        return self._way.check()

    def close(self) -> None:
        """Close it."""
        self._way.close()


def accepting(message: Received) -> Sequence[bytes | None]:
    return [acknowledgement(message)]


def twice(message: Received) -> Sequence[bytes | None]:
    return [acknowledgement(message)] * 2


def half(message: Received) -> Sequence[bytes | None]:
    return [acknowledgement(message)[:10], None]


def hanging_up(_: Received) -> Sequence[bytes | None]:
    return [None]


def other(message: Received) -> Sequence[bytes | None]:
    return [acknowledgement(message).replace(message.control_id.encode(), b"0" * 20), None]


ACTS = ("sign", "reopen", "amend", "withdraw", "restore")
steps = st.one_of(
    st.tuples(st.sampled_from(ACTS), st.integers(0, 1)),
    st.tuples(st.just("send"), st.none() | st.integers(0, 12)),
    st.tuples(st.just("receiver"), st.sampled_from([accepting, twice, half, hanging_up, other, None])),
)


class Case:
    """Slides, what the receiver must know of each, and the receiver."""

    def __init__(self, database: Database, lis: Lis) -> None:
        self.database = database
        self.lis = lis
        self.bench = Bench(database)
        number = next(_NUMBERS)
        self.where = to(lis.url, name=f"lis-{number}", timeout=60)
        register(database, {self.where.name: None})
        self.names = [f"case-{number}-{which}" for which in "ab"]
        self.ids = slides(self.bench, *self.names, cells=1)
        self.signed = [False, False]
        self.withdrawn = [False, False]
        self.times = [0, 0]
        self.expected: list[list[str]] = [[], []]

    def act(self, act: str, which: int) -> None:
        """Do what a person can do with a slide now, and note what must be told of it; else do nothing."""
        slide_id, told = self.ids[which], self.expected[which]
        if act in {"withdraw", "restore"}:
            if self.withdrawn[which] == (act == "restore"):
                getattr(withdrawal, act)(self.database, slide_id, reviewer="Ada", reason="so")
                self.withdrawn[which] = act == "withdraw"
                if told and act == "withdraw":
                    told.append("X")
                elif act == "restore" and self.times[which]:
                    told.extend(["C"] if self.signed[which] else ["R"] if told else [])
        elif self.withdrawn[which]:
            return
        elif act == "sign" and not self.signed[which]:
            sign(self.database, slide_id, reviewer="Ada")
            self.signed[which] = True
            self.times[which] += 1
            told.append("F" if self.times[which] == 1 else "C")
        elif act == "reopen" and self.signed[which]:
            sign_off.reopen(self.database, slide_id, reviewer="Ada", reason="so")
            self.signed[which] = False
            told.append("R")
        elif act == "amend" and self.signed[which]:
            self.act("reopen", which)
            self.act("sign", which)

    def send(self, steps: int | None) -> None:
        """Let a new sender do a few rounds; it is killed after so many steps."""
        sender = Mortal(self.database, self.where, steps=steps)
        try:
            for _ in range(6):
                sender.round()
        except Killed:
            sender.vanish()
        else:
            sender.close()

    def receive(self, how: Any) -> None:
        """Let the receiver answer so from now on, or be gone."""
        self.lis.stop()
        if how is not None:
            self.lis.answering = how
            self.lis.start()


@pytest.mark.slow
@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(steps, max_size=14))
def test_the_receiver_knows_the_last_state_in_order_and_once(database: Database, done: list[tuple[str, Any]]) -> None:
    with Lis() as lis:
        case = Case(database, lis)
        for what, given_ in done:
            match what:
                case "send":
                    case.send(given_)
                case "receiver":
                    case.receive(given_)
                case _:
                    case.act(what, given_)
        case.receive(accepting)
        sender = Mortal(database, case.where, steps=None)
        sender._not_before = 0
        while sender.round():
            pass
        sender.close()

        told = lis.told()
        for which, name in enumerate(case.names):
            messages = told.get(name, [])
            assert [message.status for message in messages] == case.expected[which]
            now = slide(database, case.ids[which])
            if messages:
                last = messages[-1].status
                is_out = now.withdrawn_at is not None
                assert last == ("X" if is_out else last)
                assert (last in {"F", "C"}) == (now.status is Status.SIGNED and not is_out)
