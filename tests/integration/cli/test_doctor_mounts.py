"""What doctor says of a machine that sees the inbox elsewhere than its watcher, or does not see it."""

import shutil
from pathlib import Path

import pytest

from smearcount.cli.diagnostics import Finding, _mounts, _watched_folders, _watched_inbox
from smearcount.cli.site import Site
from smearcount.cli.startup import warn_of_mounts
from smearcount.db.engine.database import Database
from smearcount.db.ingest import queueing, results

from support.journalling import MODEL, classified
from support.working import QueuedInbox


@pytest.fixture
def inbox(tmp_path: Path, sqlite_database: Database) -> QueuedInbox:
    """An inbox with a slide that is still to be counted; no broker."""
    (tmp_path / "inbox").mkdir()
    made = QueuedInbox(sqlite_database, tmp_path / "inbox", "redis://nowhere")
    made.put("S1", 3)
    return made


@pytest.fixture
def site(inbox: QueuedInbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The settings of a machine that has the share at `share`."""
    monkeypatch.setenv("SMEARCOUNT_MOUNTS", str(tmp_path / "share"))
    return Site(data=tmp_path / "data", database_url=str(inbox.database.url))


def found(site: Site) -> Finding:
    """What is found of the one inbox."""
    ((line, folder),) = _watched_folders(site)
    return _watched_inbox(site, line.name, folder)


def test_the_right_share_is_well_and_no_or_another_one_is_wrong(site: Site, inbox: QueuedInbox, tmp_path: Path) -> None:
    assert found(site).state == "wrong"
    assert "no such folder" in found(site).details
    (tmp_path / "share").mkdir()
    finding = found(site)
    assert finding.state == "wrong"
    assert "none of the 3 newest files" in finding.details
    assert "SMEARCOUNT_MOUNTS" in finding.details

    shutil.copytree(inbox.root, tmp_path / "share", dirs_exist_ok=True)

    assert found(site).state == "well"
    assert found(site).what == f"inbox {tmp_path / 'share'}"


def test_files_that_were_counted_may_have_been_removed(site: Site, inbox: QueuedInbox, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    for path in (inbox.root / "S1").iterdir():
        path.unlink()
    for batch in queueing.take_batches(inbox.database, inbox.inbox_id, at_most=9, batch_size=9):
        items = results.begin(inbox.database, batch.image_ids)
        results.store(inbox.database, MODEL, "bench", [classified(item.image_id, item.path) for item in items])

    assert found(site).state == "unknown"
    assert "removed after counting" in found(site).details


def test_a_setting_that_does_not_fit_is_said(
    site: Site, inbox: QueuedInbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert _mounts(site) == Finding("mounts", "well", site.mounts.folder("", ""))
    warn_of_mounts(inbox.database, site.mounts)
    assert caplog.text == ""

    monkeypatch.setenv("SMEARCOUNT_MOUNTS", '{"wrd": "/mnt/share"}')
    other = Site(data=site.data, database_url=str(inbox.database.url))
    warn_of_mounts(inbox.database, other.mounts)

    assert _mounts(other).state == "wrong"
    assert "wrd" in _mounts(other).details
    assert "smearcount doctor" in caplog.text
    assert str(inbox.root) not in caplog.text
