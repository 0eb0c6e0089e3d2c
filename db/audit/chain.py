"""The chain of hashes over what people said and did: the hash of each row covers the row and the hash before it.

So nobody changes, removes or inserts a row without making all later hashes anew, and one hash that a site notes elsewhere
vouches for everything up to its row. `db.audit.verification` goes through the chain.

One chain runs through both tables, in the order in which the rows were committed. What earlier versions stored carries no
hash; the chain begins with one hash over all of it.

A row's hash is the SHA-256 of an ASCII text: the JSON of `{"form": 1, "previous": ..., "row": {...}, "table": ...}` with
sorted keys and without spaces, in which the row holds all columns but its hash, NULLs left out. Moments are in UTC, as
`2026-03-01T08:30:00.000000+00:00`. So a column that a later version adds changes no hash, as long as it is NULL in the rows
that are there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, MetaData, Select, Table, bindparam, func, insert, select, text, update

from smearcount.db.delivery import outbox
from smearcount.db.errors import DatabaseError
from smearcount.db.schema import AuditChainRow, ReviewRow, SlideEventRow

#: The tables that the chain runs through.
AUDITED: tuple[type[ReviewRow | SlideEventRow], ...] = (ReviewRow, SlideEventRow)

#: Number of the text's form; a later form gets another one.
_FORM = 1
#: Made once, since there may be a million rows.
_WRITTEN = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_AS_THEY_ARE = {str, int, float, bool}
#: Rows that are held at a time while all are read.
_ROWS_AT_ONCE = 1000

# Locked until the transaction ends: on PostgreSQL, too, one person's rows are added at a time.
_HEAD = select(AuditChainRow.position, AuditChainRow.hash).where(AuditChainRow.id == 1).with_for_update()
_MOVE_HEAD = (
    update(AuditChainRow).where(AuditChainRow.id == 1).values(position=bindparam("at"), hash=bindparam("newest"))
)
_NEXT_IDS = text("SELECT nextval(pg_get_serial_sequence(:table, 'id')) FROM generate_series(1, :number)")


def append(
    connection: Connection,
    table: type[ReviewRow | SlideEventRow],
    rows: Sequence[Mapping[str, Any]],
    *,
    by_person: bool = True,
) -> list[int]:
    """Add rows to a table, to the chain and to the outbox. Nothing else may add rows to these tables; they are never changed.

    The caller locks slides and images before, and none afterwards: who waits for the chain must hold everything else that it
    needs.

    Args:
        connection: of a writing transaction, a durable one for what a person did.
        table: the table.
        rows: values by column name, without ids; all rows have the same columns.
        by_person: whether a person did it, who is answered; the watcher notes as well what happened to a slide.

    Returns:
        The ids of the new rows, in the order of the rows.

    Raises:
        DatabaseError: the chain's head is missing.
    """
    if by_person and not connection.get_execution_options().get("smearcount_durable", False):
        raise RuntimeError("what a person did is stored in a transaction of `writing(durable=True)` alone")
    added = append_alone(connection, table, rows)
    outbox.add(connection, _happenings(table, added))
    return [row["id"] for row in added]


def append_alone(
    connection: Connection, table: type[ReviewRow | SlideEventRow], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Add rows to a table and to the chain, and tell nobody: for tables of earlier versions, which have no outbox.

    Returns:
        The rows as they were stored.

    Raises:
        DatabaseError: the chain's head is missing.
    """
    if not rows:
        return []
    head = connection.execute(_HEAD).one_or_none()
    if head is None:
        raise DatabaseError("the audit chain has lost its head, so nothing can be added to it; restore a backup")
    previous = head.hash
    ids = _next_ids(connection, table, len(rows))
    chained = []
    for position, (row_id, given) in enumerate(zip(ids, rows, strict=True), start=head.position + 1):
        row = {**given, "id": row_id, "chain_position": position}
        previous = row_hash(previous, table.__tablename__, row)
        chained.append({**row, "chain_hash": previous})
    connection.execute(insert(table).returning(table.id), chained).all()
    connection.execute(_MOVE_HEAD, {"at": head.position + len(rows), "newest": previous})
    return chained


def begin_chain(connection: Connection) -> None:
    """Begin the chain of a database with what its tables hold; only the migration that adds the chain does this."""
    last = {table: _last_id(connection, table) for table in AUDITED}
    beginning = beginning_hash(connection, last[ReviewRow], last[SlideEventRow])
    connection.execute(
        insert(AuditChainRow).values(
            id=1, position=0, hash=beginning, beginning=beginning,
            last_review_id=last[ReviewRow], last_event_id=last[SlideEventRow],
        )
    )  # fmt: skip


def beginning_hash(connection: Connection, last_review_id: int, last_event_id: int) -> str:
    """Return the hash over all rows that were stored before the chain began: those with ids up to these."""
    digest = hashlib.sha256()
    for table, last in ((ReviewRow, last_review_id), (SlideEventRow, last_event_id)):
        name = table.__tablename__
        for row in rows_of(connection, name, up_to=last):
            digest.update(_ascii({"form": _FORM, "row": _plain_row(row), "table": name}) + b"\n")
    return digest.hexdigest()


def row_hash(previous: str, table: str, row: Mapping[str, Any]) -> str:
    """Return the hash that a row must carry.

    Args:
        previous: hash of the row before it.
        table: name of its table.
        row: values by column name, as they are written to the database or read from it.
    """
    document = {"form": _FORM, "previous": previous, "row": _plain_row(row), "table": table}
    return hashlib.sha256(_ascii(document)).hexdigest()


def rows_of(connection: Connection, name: str, *, after: int = 0, up_to: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table with ids after one and up to another, by id, and hold few of them at a time.

    A row holds all columns that the database has, whatever this version knows of them.
    """
    table = Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
    query: Select[Any] = select(table).where(table.c.id > after).order_by(table.c.id)
    if up_to is not None:
        query = query.where(table.c.id <= up_to)
    names = table.c.keys()
    for row in connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)):
        yield dict(zip(names, row, strict=True))


def _happenings(table: type[ReviewRow | SlideEventRow], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what to tell others of new rows: each slide event, and once for each slide that cells of it were called."""
    if table is SlideEventRow:
        return [
            {"slide_id": row["slide_id"], "kind": str(row["kind"]), "event_id": row["id"], "at": row["at"]}
            for row in rows
        ]
    called = {row["slide_id"]: row["reviewed_at"] for row in rows}
    return [
        {"slide_id": slide_id, "kind": outbox.ChangeKind.REVIEW.value, "event_id": None, "at": at}
        for slide_id, at in called.items()
    ]


def _next_ids(connection: Connection, table: type[ReviewRow | SlideEventRow], number: int) -> list[int]:
    """Return ids for new rows. They are needed before the rows are stored, because the hash covers them."""
    if connection.dialect.name == "postgresql":
        return list(connection.execute(_NEXT_IDS, {"table": table.__tablename__, "number": number}).scalars())
    last = _last_id(connection, table)  # this transaction holds the one write lock
    return list(range(last + 1, last + number + 1))


def _last_id(connection: Connection, table: type[ReviewRow | SlideEventRow]) -> int:
    return connection.execute(select(func.coalesce(func.max(table.id), 0))).scalar_one()


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if type(value) in _AS_THEY_ARE else _plain(value)
        for name, value in row.items()
        if value is not None and name != "chain_hash"
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)  # SQLite stores no time zone
        return moment.isoformat(timespec="microseconds")
    if isinstance(value, dict | list | tuple):
        return json.loads(json.dumps(value))  # as it will be read back: keys are texts
    return value


def _ascii(document: object) -> bytes:
    return _WRITTEN(document).encode("ascii")
