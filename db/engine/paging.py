"""Cursors: a cursor holds the sort values of a page's last line, as an opaque text that names the next page.

The database finds the next page by these values through an index. So every page costs as much as the first one, and lines that
are added or removed meanwhile shift nothing.
"""

import base64
import json
from collections.abc import Sequence
from datetime import datetime

from smearcount.db.errors import UnknownPage

#: Largest number that both databases can store in a key.
_LARGEST_KEY = 2**63 - 1

Value = str | int | float | datetime


def cursor(kind: str, values: Sequence[Value]) -> str:
    """Return the cursor of the page after a line.

    Args:
        kind: which list it is, and in which order.
        values: the sort values of the line.
    """
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps([kind, *plain]).encode()).decode().rstrip("=")


def values_of(after: str, kind: str, types: Sequence[type[Value]]) -> list[Value]:
    """Return the sort values in a cursor.

    Args:
        after: the cursor, which may come from outside.
        kind: as for `cursor`.
        types: types of the values, in their order.

    Raises:
        UnknownPage: the text is no cursor of a list of that kind.
    """
    try:
        found = json.loads(base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True))
        values = found[1:] if isinstance(found, list) and found[:1] == [kind] else []
        return [_value(value, wanted) for value, wanted in zip(values, types, strict=True)]
    except (ValueError, RecursionError):
        raise UnknownPage("that page is not part of this list; begin at the first page, and sort as before") from None


def is_key(number: int) -> bool:
    """Return whether a number can be the id of a row; SQLite's driver fails with a larger one."""
    return 0 <= number <= _LARGEST_KEY


def is_storable(text: str) -> bool:
    """Return whether both databases can store a text: PostgreSQL refuses NUL, and lone surrogates have no UTF-8."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _value(value: object, wanted: type[Value]) -> Value:
    if wanted is datetime and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment
    if isinstance(value, str) and wanted is str and is_storable(value):
        return value
    if type(value) is int and wanted is int and is_key(value):
        return value
    if isinstance(value, float) and wanted is float:
        return value
    raise ValueError(value)
