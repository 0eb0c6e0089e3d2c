"""`doctor` finds a SQLite file that is damaged or empty, before somebody relies on it."""

from pathlib import Path

import pytest

from smearcount.cli.diagnostics import Finding, _database
from smearcount.cli.site import Site
from smearcount.db.engine.database import Database
from smearcount.db.engine.integrity import damage

from support.working import QueuedInbox


@pytest.fixture
def file(sqlite_database: Database, tmp_path: Path) -> Path:
    """The file of a database that holds some hundred images."""
    (tmp_path / "inbox").mkdir()
    QueuedInbox(sqlite_database, tmp_path / "inbox", "redis://nowhere").put("S1", 200)
    sqlite_database.close()  # which empties the write-ahead log
    assert sqlite_database.file is not None
    return sqlite_database.file


def found(file: Path) -> Finding:
    site = Site(data=file.parent)
    with site.database:
        return _database(site)


def test_a_whole_file_is_well(file: Path) -> None:
    assert found(file).state == "well"


@pytest.mark.parametrize("page", [3, 12, 20])
def test_a_page_that_a_bad_disk_has_overwritten_is_found(file: Path, page: int) -> None:
    content = bytearray(file.read_bytes())
    assert len(content) > (page + 1) * 4096
    content[page * 4096 : (page + 1) * 4096] = bytes(range(256)) * 16
    file.write_bytes(content)

    finding = found(file)

    assert finding.state == "wrong"
    assert "is damaged: " in finding.details
    assert "smearcount restore FILE --replace" in finding.details


@pytest.mark.parametrize("content", [b"", b"this was a database once" * 100])
def test_an_empty_file_or_something_else_in_its_place_is_found(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    finding = found(file)

    assert finding.state == "wrong"
    assert ("the file is empty" if not content else "not a database") in finding.details


def test_a_postgresql_server_looks_after_its_own_files(postgresql_database: Database) -> None:
    assert damage(postgresql_database) is None
