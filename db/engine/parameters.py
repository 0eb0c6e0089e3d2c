"""Lists as parameters of statements that are made once.

PostgreSQL is given a list as one parameter: written out value by value it would be another statement for every length,
planned each time, and kept up to a hundred times for every connection. SQLite is given the values: it plans in no time, and
better where it can count them.
"""

import json
from collections.abc import Sequence
from typing import Any, Self

from sqlalchemy import Boolean, ColumnElement, Dialect, String, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import KeyedColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class _AsJson(TypeDecorator[Sequence[Any]]):
    impl = String
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> str:  # noqa: ARG002
        return json.dumps(value, ensure_ascii=False)


class _Among(FunctionElement[bool]):
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: object = None) -> Self:  # noqa: ARG002
        """Return the condition as it is: made to `... = 1` for SQLite, as functions are, no index would serve it."""
        return self


def among(column: KeyedColumnElement[Any] | InstrumentedAttribute[Any], name: str) -> ColumnElement[bool]:
    """Condition that a column of whole numbers or of text is one of the list or tuple that is passed as `name`."""
    return _Among(column, bindparam(name, type_=_AsJson()))


@compiles(_Among, "sqlite")
def _for_sqlite(element: _Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = element.clauses
    return compiler.process(column.in_(bindparam(values.key, expanding=True)), **kw)


@compiles(_Among, "postgresql")
def _for_postgresql(element: _Among, compiler: SQLCompiler, **kw: Any) -> str:
    column, values = element.clauses
    kind = "TEXT" if isinstance(column.type, String) else "BIGINT"
    given = f"SELECT value::{kind} FROM json_array_elements_text({compiler.process(values, **kw)}::JSON)"  # noqa: S608
    # An array and no subquery: the planner takes an index for it.
    return f"{compiler.process(column, **kw)} = ANY (ARRAY({given}))"
