"""`inbox move`: what was counted goes with an inbox that lies elsewhere now."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import select

from smearcount.db.engine.database import Database
from smearcount.db.engine.lease import InboxLease
from smearcount.db.errors import DatabaseError
from smearcount.db.ingest.inbox_moves import move_inbox
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.inboxes import inbox_lines
from smearcount.db.schema import Image
from smearcount.inbox.paths import to_text
from smearcount.watcher.settings import WatcherSettings
from smearcount.watcher.watch import Watcher

from support.running import Smearcount
from support.working import QueuedInbox


def moved(inbox: QueuedInbox, tmp_path: Path, name: bytes = b"elsewhere") -> Path:
    """Move the folder of an inbox and return where it is."""
    new = tmp_path / os.fsdecode(name)
    inbox.root.rename(new)
    return new


def ids(database: Database) -> Sequence[int]:
    with database.reading() as connection:
        return connection.execute(select(Image.id).order_by(Image.id)).scalars().all()


@pytest.mark.parametrize("name", [b"elsewhere", b"with space \xff"])
def test_nothing_is_counted_again_in_the_new_place(any_inbox: QueuedInbox, tmp_path: Path, name: bytes) -> None:
    any_inbox.put("S1", 3)
    before = ids(any_inbox.database)
    new = moved(any_inbox, tmp_path, name)
    root = os.path.realpath(new)

    old_name = move_inbox(any_inbox.database, ["typo", to_text(str(any_inbox.root))], to_text(root), root)

    assert old_name == to_text(str(any_inbox.root))
    (line,) = inbox_lines(any_inbox.database)
    assert (line.name, line.root) == (to_text(root), to_text(root))
    settings = WatcherSettings(poll=True, settle_seconds=0, quiet_seconds=0)
    watcher = Watcher(new, any_inbox.database, any_inbox.queue, settings)
    try:
        for _ in range(4):
            watcher._round()
        assert not watcher._discovery.arriving
    finally:
        watcher.close()
    assert ids(any_inbox.database) == before
    assert all(str(image.state) in {"pending", "queued"} for image in image_lines(any_inbox.database))


def test_a_watched_inbox_is_not_moved(any_inbox: QueuedInbox) -> None:
    any_inbox.put("S1", 1)
    lease = InboxLease(any_inbox.database, any_inbox.inbox_id)
    assert lease.take()
    try:
        with pytest.raises(DatabaseError, match=r"a watcher watches .* just now; end it first"):
            move_inbox(any_inbox.database, [str(any_inbox.root)], "/new", "/new")
    finally:
        lease.release()
    assert inbox_lines(any_inbox.database)[0].name == str(any_inbox.root)


def test_two_inboxes_with_images_do_not_become_one(any_inbox: QueuedInbox, tmp_path: Path) -> None:
    any_inbox.put("S1", 1)
    (tmp_path / "other").mkdir()
    other = QueuedInbox(any_inbox.database, tmp_path / "other", "redis://nowhere")
    other.put("S1", 1)

    with pytest.raises(DatabaseError, match="is an inbox of its own by now"):
        move_inbox(any_inbox.database, [str(any_inbox.root)], str(other.root), str(other.root))

    assert len(inbox_lines(any_inbox.database)) == 2


def test_an_inbox_without_images_in_the_new_place_makes_room(any_inbox: QueuedInbox, tmp_path: Path) -> None:
    any_inbox.put("S1", 1)
    other = QueuedInbox(any_inbox.database, tmp_path / "other", "redis://nowhere")
    assert other.inbox_id

    move_inbox(any_inbox.database, [str(any_inbox.root)], str(other.root), str(other.root))

    assert [line.name for line in inbox_lines(any_inbox.database)] == [str(other.root)]


def test_the_command_says_what_to_do_next_and_what_is_wrong(
    inbox: QueuedInbox, smearcount: Smearcount, tmp_path: Path
) -> None:
    inbox.put("S1", 1)
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = str(inbox.database.url)
    new = tmp_path / "elsewhere"

    assert f"error: {new} is no folder on this machine" in smearcount.call("inbox", "move", inbox.root, new).stderr
    moved(inbox, tmp_path)
    unknown = smearcount.call("inbox", "move", "nowhere", new)
    assert (unknown.returncode, unknown.stderr) == (
        1, f"error: no inbox is named nowhere; the database knows: {inbox.root}\n",
    )  # fmt: skip
    done = smearcount.call("inbox", "move", inbox.root, new)
    assert (done.returncode, done.stderr) == (
        0, f"the inbox {inbox.root} is {new} now; start with: smearcount up {new}\n",
    )  # fmt: skip
    smearcount.environment["SMEARCOUNT_INBOX_NAME"] = "exports"
    assert "names the inbox (exports) wherever it lies" in smearcount.call("inbox", "move", new, new).stderr
