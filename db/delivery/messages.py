"""The messages to a destination: made of the outbox, sent in order for each slide, and what became of each.

Of one slide's messages to a destination only the oldest is sent that is neither sent nor given up; one that is parked holds the
later ones back. The caller holds the destination's lease (see `db.engine.lease`), so that nobody else sends them meanwhile.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, bindparam, exists, insert, select, text, update
from sqlalchemy.orm import aliased

from smearcount.db.delivery.outbox import ChangeKind, Happening
from smearcount.db.engine.database import Database
from smearcount.db.schema import DeliveryRow, DeliveryState, DestinationRow, OutboxRow


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that was made of a row of the outbox."""

    outbox_id: int
    slide_id: int
    #: Value of a `Disposition`.
    disposition: str
    control_id: str
    body: str


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message that is to be sent now."""

    id: int
    happening: Happening
    disposition: str
    #: What the receiver knows the message by; the same at each try.
    control_id: str
    #: None if it is to be made anew first.
    body: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of trying to send a message."""

    id: int
    #: Sent, parked, or waiting where no answer came.
    state: DeliveryState
    #: UTC.
    at: datetime
    answer: str | None = None
    reason: str | None = None
    #: Whether the message went out; if it did not, the receiver could not be reached, and it counts as no attempt.
    was_sent: bool = True


_EARLIER = aliased(DeliveryRow, name="earlier")


def is_state(*states: DeliveryState) -> ColumnElement[bool]:
    """Return the condition that a message has one of these states, as the partial indexes have it."""
    return DeliveryRow.state.in_(states)


_HEADS = (
    select(
        DeliveryRow.id, DeliveryRow.disposition, DeliveryRow.control_id, DeliveryRow.body, DeliveryRow.attempts,
        OutboxRow.id.label("outbox_id"), OutboxRow.slide_id, OutboxRow.kind, OutboxRow.event_id, OutboxRow.at,
    )
    .join(OutboxRow, OutboxRow.id == DeliveryRow.outbox_id)
    .where(
        DeliveryRow.destination_id == bindparam("destination"),
        DeliveryRow.state == "waiting",
        ~exists().where(
            _EARLIER.destination_id == DeliveryRow.destination_id,
            _EARLIER.slide_id == DeliveryRow.slide_id,
            _EARLIER.id < DeliveryRow.id,
            _EARLIER.state.in_(["waiting", "parked"]),
        ),
    )
    .order_by(DeliveryRow.attempts, DeliveryRow.id)
    .limit(bindparam("most"))
)  # fmt: skip


def due(database: Database, destination_id: int, *, limit: int) -> list[DueMessage]:
    """Return what is to be sent next, of each slide one message at most: first what was tried least often, then the oldest."""
    with database.reading() as connection:
        rows = connection.execute(_HEADS, {"destination": destination_id, "most": limit}).all()
    return [
        DueMessage(
            row.id,
            Happening(row.outbox_id, row.slide_id, ChangeKind(row.kind), row.event_id, row.at),
            row.disposition,
            row.control_id,
            row.body,
            row.attempts,
        )
        for row in rows
    ]


def slides_told_of(database: Database, destination_id: int, slide_ids: Collection[int]) -> set[int]:
    """Return those of some slides that a destination has or will get a message of."""
    query = (
        select(DeliveryRow.slide_id)
        .where(DeliveryRow.slide_id.in_(slide_ids), DeliveryRow.destination_id == destination_id)
        .distinct()
    )
    with database.reading() as connection:
        return set(connection.execute(query).scalars())


def store(
    database: Database, destination_id: int, messages: Sequence[NewMessage], *, came_from: int, up_to: int
) -> bool:
    """Store what was made of the outbox after one row and up to another, all of it or nothing.

    Returns:
        Whether it was stored; False if somebody else has gone on from `came_from` meanwhile.
    """
    now = datetime.now(UTC)
    with database.writing() as connection:
        moved = connection.execute(
            update(DestinationRow)
            .where(DestinationRow.id == destination_id, DestinationRow.last_outbox_id == came_from)
            .values(last_outbox_id=up_to)
        )
        if moved.rowcount == 0:
            return False
        rows = [
            {
                "destination_id": destination_id,
                "outbox_id": message.outbox_id,
                "slide_id": message.slide_id,
                "disposition": message.disposition,
                "control_id": message.control_id,
                "body": message.body,
                "state": DeliveryState.WAITING,
                "attempts": 0,
                "made_at": now,
            }
            for message in messages
        ]
        if rows:
            connection.execute(insert(DeliveryRow), rows)
        return True


def store_anew(database: Database, message_id: int, *, control_id: str, body: str) -> None:
    """Store what a message consists of now that it was made anew, before it is sent."""
    with database.writing() as connection:
        connection.execute(
            update(DeliveryRow).where(DeliveryRow.id == message_id).values(control_id=control_id, body=body)
        )


_RECORD = (
    update(DeliveryRow)
    # A person may have given it up meanwhile; that it was accepted all the same is what counts.
    .where(DeliveryRow.id == bindparam("of_id"))
    .values(
        state=bindparam("new_state"),
        attempts=DeliveryRow.attempts + bindparam("tries"),
        tried_at=bindparam("at"),
        sent_at=bindparam("accepted_at"),
        answer=bindparam("answered"),
        reason=bindparam("because"),
    )
)
_NOT_WAITING = text("SET LOCAL synchronous_commit TO off")
_RECORD_UNANSWERED = _RECORD.where(DeliveryRow.state == "waiting")


def record(database: Database, outcomes: Sequence[Outcome]) -> None:
    """Store what came of trying to send some messages.

    It does not wait for PostgreSQL's disk: what a power cut takes back is sent again, as the very same message.
    """
    settled = [one for one in outcomes if one.state is not DeliveryState.WAITING]
    unanswered = [one for one in outcomes if one.state is DeliveryState.WAITING]
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(_NOT_WAITING)
        for statement, some in ((_RECORD, settled), (_RECORD_UNANSWERED, unanswered)):
            if some:
                connection.execute(statement, [_values(one) for one in some])


def _values(outcome: Outcome) -> dict[str, object]:
    return {
        "of_id": outcome.id,
        "tries": int(outcome.was_sent),
        "new_state": outcome.state.value,
        "at": outcome.at,
        "accepted_at": outcome.at if outcome.state is DeliveryState.SENT else None,
        "answered": outcome.answer,
        "because": outcome.reason,
    }
