"""Where a page of a list ends and the next begins: the sort values of its last line, as a text that means nothing.

The next page is found by those values through an index, so that it costs no more than the first one, and lines that
come or go meanwhile shift nothing.
"""

import base64
import json
from collections.abc import Sequence
from datetime import datetime

from smearcount.db.errors import UnknownPage

#: The largest number that either database keeps in a key.
_LARGEST_KEY = 2**63 - 1

Value = str | int | float | datetime


def cursor(kind: str, values: Sequence[Value]) -> str:
    """Return the text that names the page after the line with these values, in a list of that kind."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps([kind, *plain]).encode()).decode().rstrip("=")


def values_of(after: str, kind: str, types: Sequence[type[Value]]) -> list[Value]:
    """Return the values that `cursor` was given, which are of these types.

    Raises:
        UnknownPage: the text was not made by `cursor` for a list of that kind.
    """
    try:
        found = json.loads(base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True))
        values = found[1:] if isinstance(found, list) and found[:1] == [kind] else []
        return [_value(value, wanted) for value, wanted in zip(values, types, strict=True)]
    except (ValueError, RecursionError):
        raise UnknownPage("that page is not part of this list; begin at the first page, and sort as before") from None


def is_key(number: int) -> bool:
    """Say whether a number can be that of a row; SQLite cannot even be asked for a larger one."""
    return 0 <= number <= _LARGEST_KEY


def is_storable(text: str) -> bool:
    """Say whether both databases can hold a text: PostgreSQL takes no NUL, and half a character is no text at all."""
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
