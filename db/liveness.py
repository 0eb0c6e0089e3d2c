"""Whether a watcher is running, told by the moment at which it last wrote so into the row of its inbox."""

from datetime import datetime, timedelta
from typing import Final

#: A watcher that has written nothing for longer is shown as not running. It writes about twice a second, but a round over a
#: slow share, or a writer that holds SQLite's lock, may delay it by some seconds.
SILENT_AFTER: Final = timedelta(seconds=15)

#: An alert wakes somebody, so it waits longer: a restart of the watcher or of the database must not raise one.
ALERT_AFTER: Final = 4 * SILENT_AFTER


def watcher_lives(watched_at: datetime | None, now: datetime, *, silent_after: timedelta = SILENT_AFTER) -> bool:
    """Return whether a watcher is running.

    Args:
        watched_at: when it last wrote that it is running (UTC); None if it never did.
        now: the present moment (UTC).
        silent_after: time after which its silence means that it has ended.
    """
    return watched_at is not None and now - watched_at <= silent_after
