"""The rows of the inboxes: what each is called, where its watcher sees it, and that the watcher is running."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import select, update

from smearcount.db.engine.bulk import insert_missing_rows
from smearcount.db.engine.database import Database
from smearcount.db.schema import Inbox
from smearcount.inbox.paths import to_text


def register_inbox(database: Database, name: str, root: str) -> int:
    """Return the id of an inbox, which is added if it is new.

    An inbox that is known keeps the root that it has; `place_inbox` changes it.

    Args:
        database: where inboxes are kept.
        name: the inbox's name, in the form of `inbox.paths`.
        root: absolute path of a new inbox on the watcher's machine, as `os` functions give it.
    """
    with database.writing() as connection:
        insert_missing_rows(connection, Inbox, [{"name": name, "root": to_text(root), "arriving": 0}])
        return connection.execute(select(Inbox.id).where(Inbox.name == name)).scalar_one()


def place_inbox(database: Database, inbox_id: int, root: str) -> None:
    """Store at which absolute path the watcher's machine sees the inbox; the caller holds the lease of the inbox."""
    with database.writing() as connection:
        connection.execute(update(Inbox).where(Inbox.id == inbox_id).values(root=to_text(root)))


def note_watch(
    database: Database,
    inbox_id: int,
    *,
    arriving: int,
    is_whole_scan: bool,
    ignored: Mapping[str, int] | None = None,
) -> None:
    """Store that the watcher is running now (UTC).

    Args:
        database: where inboxes are kept.
        inbox_id: the inbox.
        arriving: number of files that are still being written.
        is_whole_scan: whether a scan of the whole inbox has just ended.
        ignored: how many files that scan ignored, by kind; kept once it has ended; None if nobody counted them.
    """
    now = datetime.now(UTC)
    values: dict[str, object] = {"watched_at": now, "arriving": arriving}
    if is_whole_scan:
        values["scanned_at"] = now
    if is_whole_scan and ignored is not None:
        values |= {"ignored": sum(ignored.values()), "ignored_kinds": dict(ignored)}
    with database.writing() as connection:
        connection.execute(update(Inbox).where(Inbox.id == inbox_id).values(values))
