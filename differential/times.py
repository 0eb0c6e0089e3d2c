"""The one spelling of moments in JSON, CSV and forms."""

from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC, such as 2026-03-01T08:30:00Z, with six decimals unless they are all zero.

    Raises:
        ValueError: The moment has no time zone.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"the time {moment} has no time zone")
    return moment.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
