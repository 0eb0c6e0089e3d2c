"""Many rows in one statement.

PostgreSQL is given all of them as one document: sent row by row, as its driver does by itself, they cost both sides half of
the time that storing a batch took. With SQLite nothing is sent, so each row may well be a statement.
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

from smearcount.db.engine.parameters import among

Row = dict[str, Any]


def insert_new(connection: Connection, table: type[DeclarativeBase], rows: list[Row]) -> None:
    """Insert the rows that break no uniqueness rule, and leave those that are there already as they are.

    All rows have the same columns.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(_insert_one(table), rows)
    else:
        connection.execute(_insert_all(table, tuple(rows[0])), {"rows": _document(rows)})


def change(connection: Connection, table: type[DeclarativeBase], rows: list[Row]) -> None:
    """Give the row with the id `of_id` of each of these new values of their other columns; all have the same ones."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(_change_one(table), rows)
    else:
        ids = [row["of_id"] for row in rows]
        connection.execute(_change_all(table, tuple(rows[0])), {"rows": _document(rows), "ids": ids})


def _document(rows: list[Row]) -> str:
    return json.dumps(rows, ensure_ascii=False, default=datetime.isoformat)


# Made once: making a statement anew for every batch took longer than running it.
@cache
def _insert_one(table: type[DeclarativeBase]) -> Insert:
    return sqlite.insert(table).on_conflict_do_nothing()


@cache
def _insert_all(table: type[DeclarativeBase], columns: tuple[str, ...]) -> Insert:
    given = _given(table, columns)
    return postgresql.insert(table).from_select(columns, select(*given.c)).on_conflict_do_nothing()


@cache
def _change_one(table: type[DeclarativeBase]) -> Update:
    return update(table).where(table.__table__.c.id == bindparam("of_id"))


@cache
def _change_all(table: type[DeclarativeBase], columns: tuple[str, ...]) -> Update:
    given = _given(table, columns)
    new = {name: given.c[name] for name in columns if name != "of_id"}
    key = table.__table__.c.id
    # The second condition says nothing new, but without it PostgreSQL reads a small table as a whole, and keeps to that
    # when it has grown.
    return update(table).where(key == given.c.of_id, among(key, "ids")).values(new)


def _given(table: type[DeclarativeBase], columns: tuple[str, ...]) -> TableValuedAlias:
    known = table.__table__.c
    typed = (column(name, _read_as(known["id" if name == "of_id" else name].type)) for name in columns)
    document = cast(bindparam("rows", type_=Text), postgresql.JSON)
    return func.json_to_recordset(document).table_valued(*typed).render_derived("given", with_types=True)


def _read_as(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    # Read with its length, a text that is too long would be cut off without a word, and not refused.
    return Text() if isinstance(kind, String) else kind
