"""Days in requests, and the moments at which they begin and end, in UTC."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _written_out(value: object) -> object:
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("a day is written like 2026-11-23")
    return value


#: A day in a request, written like 2026-11-23; pydantic alone would take a number for seconds since 1970.
Day = Annotated[date, BeforeValidator(_written_out)]


def start_of(day: date) -> datetime:
    """Return the first moment of a day."""
    return datetime.combine(day, time.min, UTC)


def end_of(day: date) -> datetime:
    """Return the first moment after a day; for the last possible day, its last moment."""
    return datetime.max.replace(tzinfo=UTC) if day == date.max else start_of(day) + timedelta(days=1)
