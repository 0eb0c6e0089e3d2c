"""An inbox that lies at another path now: what was counted goes with it."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, select, update

from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import InboxLease
from smearcount.db.errors import DatabaseError
from smearcount.db.schema import Image, Inbox, Slide
from smearcount.inbox.paths import to_text


def move_inbox(database: Database, names: Sequence[str], new_name: str, root: str) -> str:
    """Give an inbox the name and the root of its new place, and return the name that it had.

    Args:
        database: where inboxes are kept.
        names: spellings of the old name, in the form of `inbox.paths`; the first one that an inbox has is meant.
        new_name: the name under which its next watcher looks for it, in the same form.
        root: absolute path of its new place, as `os` functions give it.

    Raises:
        DatabaseUnavailable: the database does not answer.
        DatabaseError: no inbox has any of the names, a watcher is at work, or the new name is that of another inbox for which
            something is counted.
    """
    with database.reading() as connection:
        ids = {name: inbox_id for inbox_id, name in connection.execute(select(Inbox.id, Inbox.name))}
    old_name = next((name for name in names if name in ids), None)
    if old_name is None:
        known = ", ".join(ids) or "none"
        raise DatabaseError(f"no inbox is named {names[0]}; the database knows: {known}")
    inbox_id, other_id = ids[old_name], ids.get(new_name)
    leases = [InboxLease(database, one) for one in (inbox_id, other_id) if one is not None]
    try:
        if not all(lease.take() for lease in leases):
            raise DatabaseError(
                f"a watcher watches {old_name} or {new_name} just now; end it first, and start it afterwards"
            )
        with database.writing(durable=True) as connection:
            if other_id is not None and other_id != inbox_id:
                is_used = exists().where(Image.inbox_id == other_id) | exists().where(Slide.inbox_id == other_id)
                if connection.execute(select(is_used)).scalar_one():
                    raise DatabaseError(
                        f"{new_name} is an inbox of its own by now, with images that were counted there anew; "
                        "the two cannot become one"
                    )
                connection.execute(delete(Inbox).where(Inbox.id == other_id))
            connection.execute(update(Inbox).where(Inbox.id == inbox_id).values(name=new_name, root=to_text(root)))
    finally:
        for lease in leases:
            lease.release()
    return old_name
