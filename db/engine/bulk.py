"""Inserting and updating many rows in one statement.

PostgreSQL gets all rows as one JSON document. Its driver would send them row by row, which took client and server half of the
time that storing a batch took. SQLite runs in this process, so there each row can be a statement of its own.
"""

import json
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, String, Text, Update, bindparam, cast, column, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

from smearcount.db.engine.parameters import in_list

Row = dict[str, Any]


def insert_missing_rows(connection: Connection, table: type[DeclarativeBase], rows: list[Row]) -> None:
    """Insert rows, and leave out those whose unique columns are in the table already.

    Args:
        connection: of a writing transaction.
        table: the table.
        rows: values by column name; all rows have the same columns.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(_insert_one(table), rows)
    else:
        connection.execute(_insert_all(table, tuple(rows[0])), {"rows": _document(rows)})


def update_rows(connection: Connection, table: type[DeclarativeBase], rows: list[Row]) -> None:
    """Update rows by their ids; ids that are not in the table are left out.

    The caller locks the rows first where others may write to them (see `db.engine.locking`).

    Args:
        connection: of a writing transaction.
        table: the table.
        rows: the row's id as `of_id` and new values by column name; all rows have the same columns.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(_update_one(table), rows)
    else:
        ids = [row["of_id"] for row in rows]
        connection.execute(_update_all(table, tuple(rows[0])), {"rows": _document(rows), "ids": ids})


def _document(rows: list[Row]) -> str:
    return json.dumps(rows, ensure_ascii=False, default=datetime.isoformat)


# The statements are built once: building one for every batch took longer than running it.
@cache
def _insert_one(table: type[DeclarativeBase]) -> Insert:
    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def _insert_all(table: type[DeclarativeBase], columns: tuple[str, ...]) -> Insert:
    given = _given(table, columns)
    return postgresql.insert(table).from_select(columns, select(*given.c)).on_conflict_do_nothing()


@cache
def _update_one(table: type[DeclarativeBase]) -> Update:
    return update(table).where(table.__table__.c.id == bindparam("of_id"))


@cache
def _update_all(table: type[DeclarativeBase], columns: tuple[str, ...]) -> Update:
    given = _given(table, columns)
    new = {name: given.c[name] for name in columns if name != "of_id"}
    key = table.__table__.c.id
    # The second condition adds nothing, but without it PostgreSQL reads a small table as a whole, and keeps that plan
    # after the table has grown.
    return update(table).where(key == given.c.of_id, in_list(key, "ids")).values(new)


def _given(table: type[DeclarativeBase], columns: tuple[str, ...]) -> TableValuedAlias:
    known = table.__table__.c
    typed = (column(name, _read_type(known["id" if name == "of_id" else name].type)) for name in columns)
    document = cast(bindparam("rows", type_=Text), postgresql.JSON)
    return func.json_to_recordset(document).table_valued(*typed).render_derived("given", with_types=True)


def _read_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    # Without its length: with it, PostgreSQL would cut off a text that is too long and not refuse it.
    return Text() if isinstance(kind, String) else kind
