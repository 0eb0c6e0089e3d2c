"""What people see of the messages and decide about them: send again, or give up with a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select, update
from sqlalchemy.orm import aliased

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import is_key, is_storable
from smearcount.db.errors import DeliveryDecisionRefused, UnknownDelivery
from smearcount.db.schema import DeliveryRow, DeliveryState, DestinationRow


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one destination; times are in UTC."""

    id: int
    destination: str
    slide_id: int
    #: Value of a `Disposition`.
    disposition: str
    control_id: str
    state: DeliveryState
    attempts: int
    made_at: datetime
    tried_at: datetime | None
    sent_at: datetime | None
    #: What came of the last try, in words; None where there is nothing to say.
    reason: str | None
    #: Who last decided about it by hand, and why.
    decided_by: str | None
    decision: str | None
    #: The message and the last answer. They name the slide, and so perhaps a patient. None in lists.
    body: str | None = None
    answer: str | None = None


_COLUMNS = (
    DeliveryRow.id, DestinationRow.name, DeliveryRow.slide_id, DeliveryRow.disposition, DeliveryRow.control_id,
    DeliveryRow.state, DeliveryRow.attempts, DeliveryRow.made_at, DeliveryRow.tried_at, DeliveryRow.sent_at,
    DeliveryRow.reason, DeliveryRow.decided_by, DeliveryRow.decision,
)  # fmt: skip
_LIST: Select[*tuple[Any, ...]] = select(*_COLUMNS).join(
    DestinationRow, DestinationRow.id == DeliveryRow.destination_id
)

_LATER = aliased(DeliveryRow, name="later")
_LATER_SENT = (
    select(func.max(_LATER.id))
    .join(
        DeliveryRow, (DeliveryRow.slide_id == _LATER.slide_id) & (DeliveryRow.destination_id == _LATER.destination_id)
    )
    .where(DeliveryRow.id == bindparam("message"), _LATER.id > DeliveryRow.id, _LATER.state == DeliveryState.SENT)
)

#: Longest reason, in characters.
LONGEST_DECISION = 4000


def deliveries(
    database: Database,
    *,
    states: Sequence[DeliveryState] = (),
    destination: str | None = None,
    slide_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Delivery]:
    """Return messages, newest first.

    Args:
        database: where they are kept.
        states: only messages in these states; empty for all.
        destination: only those to the destination of this name.
        slide_id: only those of this slide.
        before: only those with smaller ids, for the next page.
        limit: most messages.
    """
    query = _LIST.order_by(DeliveryRow.id.desc()).limit(limit)
    if states:
        query = query.where(DeliveryRow.state.in_(states))
    if destination is not None:
        query = query.where(DestinationRow.name == (destination if is_storable(destination) else ""))
    if slide_id is not None:
        query = query.where(DeliveryRow.slide_id == (slide_id if is_key(slide_id) else -1))
    if before is not None:
        query = query.where(DeliveryRow.id < (before if is_key(before) else 0))
    with database.reading() as connection:
        return [_delivery(row) for row in connection.execute(query)]


def delivery(database: Database, delivery_id: int) -> Delivery:
    """Return one message with its text and the last answer.

    Raises:
        UnknownDelivery: there is no such message.
    """
    query = _LIST.add_columns(DeliveryRow.body, DeliveryRow.answer).where(DeliveryRow.id == delivery_id)
    with database.reading() as connection:
        row = connection.execute(query).one_or_none() if is_key(delivery_id) else None
    if row is None:
        raise UnknownDelivery(f"there is no message {delivery_id}")
    return _delivery(row)


def send_again(database: Database, delivery_id: int, *, by: str, anew: bool = False) -> None:
    """Let a message be sent again, whatever became of it.

    Args:
        database: where messages are kept.
        delivery_id: the message.
        by: name of the person.
        anew: make the message anew by the settings in force, with another control id; otherwise it is sent as it was, and a
            receiver that has it already knows it by its control id.

    Raises:
        UnknownDelivery: there is no such message.
        DeliveryDecisionRefused: it is waiting as it is, a later message of its slide was sent, or the name is empty.
    """
    who = _checked(by, "who")
    with database.writing(durable=True) as connection:
        state = _lock(connection, delivery_id)
        if state is DeliveryState.WAITING and not anew:
            raise DeliveryDecisionRefused(f"message {delivery_id} is waiting to be sent already")
        later = connection.execute(_LATER_SENT, {"message": delivery_id}).scalar_one_or_none()
        if later is not None:
            # The receiver would end at what does not hold any more.
            raise DeliveryDecisionRefused(f"message {later} has followed message {delivery_id}; send that one again")
        values: dict[str, object] = {"state": DeliveryState.WAITING, "decided_by": who, "decision": "send again"}
        if anew:
            values |= {"body": None, "decision": "make anew and send"}
        connection.execute(update(DeliveryRow).where(DeliveryRow.id == delivery_id).values(values))


def give_up(database: Database, delivery_id: int, *, by: str, reason: str) -> None:
    """Decide that a message is not sent; later messages of its slide go on.

    Raises:
        UnknownDelivery: there is no such message.
        DeliveryDecisionRefused: it is sent or given up already, or the name or the reason is empty.
    """
    who, why = _checked(by, "who"), _checked(reason, "why")
    with database.writing(durable=True) as connection:
        state = _lock(connection, delivery_id)
        if state not in {DeliveryState.WAITING, DeliveryState.PARKED}:
            raise DeliveryDecisionRefused(f"message {delivery_id} is {state.value} already")
        connection.execute(
            update(DeliveryRow)
            .where(DeliveryRow.id == delivery_id)
            .values(state=DeliveryState.GIVEN_UP, decided_by=who, decision=why)
        )


def _lock(connection: Connection, delivery_id: int) -> DeliveryState:
    query = select(DeliveryRow.state).where(DeliveryRow.id == delivery_id).with_for_update()
    state = connection.execute(query).scalar_one_or_none() if is_key(delivery_id) else None
    if state is None:
        raise UnknownDelivery(f"there is no message {delivery_id}")
    return DeliveryState(state)


def _checked(text: str, what: str) -> str:
    stripped = text.strip()
    if not stripped or len(stripped) > LONGEST_DECISION or not is_storable(stripped):
        raise DeliveryDecisionRefused(f"say {what} decides it" if what == "who" else "say why it is given up")
    return stripped


def _delivery(row: Row[Any]) -> Delivery:
    found = row._asdict()
    return Delivery(
        id=row.id, destination=row.name, slide_id=row.slide_id, disposition=row.disposition, control_id=row.control_id,
        state=DeliveryState(row.state), attempts=row.attempts, made_at=row.made_at, tried_at=row.tried_at,
        sent_at=row.sent_at, reason=row.reason, decided_by=row.decided_by, decision=row.decision,
        body=found.get("body"), answer=found.get("answer"),
    )  # fmt: skip
