"""The systems that results are sent to, and how each of them is doing."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select, update

from smearcount.db.delivery import outbox
from smearcount.db.engine.bulk import insert_missing_rows
from smearcount.db.engine.database import Database
from smearcount.db.schema import DeliveryRow, DeliveryState, DestinationRow, OutboxRow


@dataclass(frozen=True, slots=True)
class DestinationHealth:
    """How one destination is doing; times are in UTC."""

    id: int
    name: str
    #: Whether the settings still named it when a sender last started.
    in_use: bool
    waiting: int
    parked: int
    #: When the oldest of what is still to be sent happened or was made; None if nothing is.
    oldest_at: datetime | None
    #: When a sender last wrote that it is at work for it; None before the first time.
    served_at: datetime | None
    #: Since when nothing could be sent, and why; None while it answers.
    failing_since: datetime | None
    failure: str | None


def register(database: Database, beginnings: Mapping[str, datetime | None]) -> dict[str, int]:
    """Enter the destinations that the settings name; those that they name no more are kept, and nothing is sent to them.

    Args:
        database: where they are kept.
        beginnings: by name, since when (UTC) results are sent that happened before the destination was first known. None
            begins with what happens from now on.

    Returns:
        Their ids by name.
    """
    starts = {name: None if moment is None else outbox.before(database, moment) for name, moment in beginnings.items()}
    with database.writing() as connection:
        newest = outbox.newest(connection)
        # Another sender may be entering them at this moment.
        insert_missing_rows(
            connection,
            DestinationRow,
            [
                {"name": name, "last_outbox_id": newest if start is None else start, "in_use": True}
                for name, start in starts.items()
            ],
        )
        connection.execute(update(DestinationRow).values(in_use=DestinationRow.name.in_(list(starts))))
        rows = connection.execute(select(DestinationRow.name, DestinationRow.id)).all()
    return {name: found for name, found in rows if name in starts}


def position(database: Database, destination_id: int) -> tuple[int, int]:
    """Return up to where in the outbox messages were made for a destination, and the newest row of the outbox."""
    with database.reading() as connection:
        row = connection.execute(
            select(DestinationRow.last_outbox_id).where(DestinationRow.id == destination_id)
        ).scalar_one()
        return row, outbox.newest(connection)


def note_health(database: Database, destination_id: int, failure: str | None) -> None:
    """Note that a sender is at work for a destination, and why nothing can be sent; None while it answers."""
    now = datetime.now(UTC)
    since = None if failure is None else func.coalesce(DestinationRow.failing_since, now)
    with database.writing() as connection:
        connection.execute(
            update(DestinationRow)
            .where(DestinationRow.id == destination_id)
            .values(served_at=now, failing_since=since, failure=failure)
        )


def destination_health(database: Database) -> list[DestinationHealth]:
    """Return how each destination is doing, by name; the cost depends on what is unsettled alone."""
    unsettled = DeliveryRow.state.in_([DeliveryState.WAITING, DeliveryState.PARKED])
    counts = (
        select(
            DeliveryRow.destination_id,
            DeliveryRow.state,
            func.count().label("number"),
            func.min(DeliveryRow.made_at).label("oldest"),
        )
        .where(unsettled)
        .group_by(DeliveryRow.destination_id, DeliveryRow.state)
    )
    with database.reading() as connection:
        of_state = {(row.destination_id, row.state): row for row in connection.execute(counts)}
        found = []
        for row in connection.execute(select(DestinationRow).order_by(DestinationRow.name)).all():
            waiting = of_state.get((row.id, DeliveryState.WAITING))
            parked = of_state.get((row.id, DeliveryState.PARKED))
            # What nobody has made a message of yet, because no sender runs, waits as well.
            unmade = connection.execute(
                select(OutboxRow.at).where(OutboxRow.id > row.last_outbox_id).order_by(OutboxRow.id).limit(1)
            ).scalar_one_or_none()
            oldest = min((at for at in (waiting and waiting.oldest, unmade) if at is not None), default=None)
            found.append(
                DestinationHealth(
                    row.id,
                    row.name,
                    row.in_use,
                    waiting.number if waiting else 0,
                    parked.number if parked else 0,
                    oldest,
                    row.served_at,
                    row.failing_since,
                    row.failure,
                )
            )
        return found
