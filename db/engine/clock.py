"""Comparing stored moments with the clock of this machine, which may have been set back meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import InstrumentedAttribute

#: A stored moment that lies further ahead than this was written before the clock was set back: nothing is postponed for
#: longer.
_LONGEST_WAIT = timedelta(minutes=1)


def is_past(column: InstrumentedAttribute[Any], moment: datetime) -> ColumnElement[bool]:
    """Return the condition that a column's moment is not later than `moment`.

    A moment that is more than a minute ahead of now counts as past too. Otherwise images and slides would wait for as
    long as the clock was set back.
    """
    return or_(column <= moment, column > datetime.now(UTC) + _LONGEST_WAIT)
