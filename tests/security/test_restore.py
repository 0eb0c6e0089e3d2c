"""A backup is data: whatever else its file says, restoring it runs nothing of it."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from smearcount.cli.main import main
from smearcount.db.backup.backups import back_up, restore
from smearcount.db.backup.digests import digest_file
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.migration import require_current
from smearcount.differential.classes import CellClass

from support.backing import differential, programs_first_in_path
from support.journalling import count_cells, new_inbox

SECRET = "a secret of more than twenty characters"  # noqa: S105


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", programs_first_in_path())


def add_slides(database: Database, inbox_id: int, slides: list[str]) -> None:
    for slide in slides:
        cells = [(f"{slide}/{number}.jpg", f"{slide}-{number}", kind, True) for number, kind in enumerate(CellClass)]
        count_cells(database, inbox_id, cells)


def nothing(_percent: int) -> None:
    return


@pytest.fixture
def backup(sqlite_database: Database, tmp_path: Path) -> Path:
    """The backup of a SQLite database with two slides."""
    add_slides(sqlite_database, new_inbox(sqlite_database), ["S-1", "S-2"])
    back_up(sqlite_database, tmp_path / "backup.db", replace=False, progress=nothing)
    return tmp_path / "backup.db"


def craft(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as crafted, crafted:
        for statement in statements:
            crafted.execute(statement)


def objects(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


def test_a_crafted_sqlite_file_brings_no_triggers_views_or_tables(
    backup: Path, sqlite_database: Database, tmp_path: Path
) -> None:
    craft(
        backup,
        "CREATE TRIGGER evil AFTER INSERT ON images BEGIN UPDATE classifications SET cell_class = 'platelet'; END",
        "CREATE TRIGGER reviews_evil AFTER INSERT ON slides BEGIN DELETE FROM images; END",
        "CREATE VIEW evil_view AS SELECT 1",
        "DROP VIEW slide_summary",
        "CREATE VIEW slide_summary AS SELECT 'forged' AS slide",
        "CREATE TABLE evil_table (evil)",
        "CREATE INDEX evil_index ON slides (name)",
        "DROP TRIGGER reviews_not_changed",
    )
    with Database(f"sqlite:///{tmp_path / 'restored.db'}") as restored:
        restore(restored, backup, replace=False, progress=nothing)
        require_current(restored)
        assert differential(restored) == differential(sqlite_database)
        with pytest.raises(DatabaseError, match="only added"), restored.writing() as connection:
            connection.execute(text("INSERT INTO audit_chain SELECT * FROM audit_chain"))
    assert sqlite_database.file is not None
    assert objects(tmp_path / "restored.db") == objects(sqlite_database.file)


@pytest.mark.parametrize(
    "statements",
    [
        ("ALTER TABLE reviews RENAME TO kept", "CREATE VIEW reviews AS SELECT * FROM kept"),
        ("ALTER TABLE work RENAME TO kept", "CREATE VIRTUAL TABLE work USING fts5(worker, at, images)"),
        ("ALTER TABLE models DROP COLUMN weights_sha256",),
        ("DROP TABLE work",),
        ("PRAGMA foreign_keys = OFF", "DELETE FROM slides WHERE id = 1"),
        ("ALTER TABLE alembic_version RENAME TO kept", "CREATE VIEW alembic_version AS SELECT * FROM kept"),
    ],
    ids=["view", "virtual table", "column", "table", "rows", "version"],
)
def test_a_file_with_other_tables_than_ours_is_refused_and_changes_nothing(
    backup: Path, sqlite_database: Database, statements: tuple[str, ...]
) -> None:
    craft(backup, "PRAGMA legacy_alter_table = ON", *statements)
    before = differential(sqlite_database)
    assert sqlite_database.file is not None
    with pytest.raises(DatabaseError, match=r"no backup of smearcount|which a backup of smearcount has|damaged"):
        restore(sqlite_database, backup, replace=True, progress=nothing)
    assert differential(sqlite_database) == before
    assert not [path for path in sqlite_database.file.parent.iterdir() if path.name.startswith(".restore")]


def archive_of(database: Database, file: Path) -> Path:
    back_up(database, file, replace=False, progress=nothing)
    return file


def test_an_archives_statements_are_not_run(postgresql_database: Database, tmp_path: Path) -> None:
    """Everything that pg_dump writes beside the rows is the archive's maker's to choose."""
    add_slides(postgresql_database, new_inbox(postgresql_database), ["S-1", "S-2"])
    before = differential(postgresql_database)
    with postgresql_database.writing() as connection:
        connection.exec_driver_sql("CREATE TABLE bait (id integer)")
        connection.exec_driver_sql(
            "CREATE FUNCTION evil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO bait VALUES (1); RETURN NEW; END $$"
        )
        connection.exec_driver_sql("CREATE TRIGGER evil AFTER INSERT ON slides FOR EACH ROW EXECUTE FUNCTION evil()")
        connection.exec_driver_sql("CREATE RULE evil AS ON UPDATE TO images DO ALSO INSERT INTO bait VALUES (2)")
        connection.exec_driver_sql("ALTER TABLE slides ADD CONSTRAINT evil CHECK (name <> 'S-9')")
    file = archive_of(postgresql_database, tmp_path / "archive")

    restore(postgresql_database, file, replace=True, progress=nothing)

    assert differential(postgresql_database) == before
    with postgresql_database.reading() as connection:
        found = "SELECT tgname FROM pg_trigger WHERE tgname = 'evil' UNION SELECT rulename FROM pg_rules WHERE rulename = 'evil'"
        assert connection.execute(text(found)).all() == []
        assert connection.scalar(text("SELECT count(*) FROM pg_constraint WHERE conname = 'evil'")) == 0
        assert connection.scalar(text("SELECT count(*) FROM bait")) == 0
    add_slides(postgresql_database, 1, ["S-9"])  # numbers of new rows go on where those of the archive end


@pytest.mark.parametrize(
    "line",
    [
        r"COPY public.slides (id, name) FROM PROGRAM 'touch {mark}';",
        r"\! touch {mark}",
        r"CREATE ROLE smearcount_evil SUPERUSER;",
        r"COPY public.slides (id) FROM stdin;",
        r"COPY pg_catalog.pg_authid (rolname) FROM stdin;",
    ],
)
def test_what_a_crafted_script_says_is_not_run(
    postgresql_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """A crafted archive makes pg_restore write any line; here a program in its place does."""
    add_slides(postgresql_database, new_inbox(postgresql_database), ["S-1"])
    before = differential(postgresql_database)
    file = archive_of(postgresql_database, tmp_path / "archive")
    mark = tmp_path / "mark"
    real = subprocess.run(["which", "pg_restore"], check=True, capture_output=True, text=True).stdout.strip()
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "pg_restore").write_text(
        f"#!{sys.executable}\n"
        "import subprocess, sys\n"
        f"done = subprocess.run([{real!r}, *sys.argv[1:]], stdout=subprocess.PIPE, check=True)\n"
        f"sys.stdout.buffer.write({line.replace('{mark}', str(mark))!r}.encode() + b'\\n' + done.stdout)\n"
    )
    (bin_folder / "pg_restore").chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(bin_folder), prepend=":")
        try:
            restore(postgresql_database, file, replace=True, progress=nothing)
        except DatabaseError as error:
            assert "cannot be restored" in str(error)  # noqa: PT017 (either outcome is fine, as long as nothing runs)
    assert differential(postgresql_database) == before
    assert not mark.exists()
    with postgresql_database.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM pg_roles WHERE rolname = 'smearcount_evil'")) == 0


def test_with_a_secret_only_the_sites_own_backups_are_restored(sqlite_database: Database, tmp_path: Path) -> None:
    add_slides(sqlite_database, new_inbox(sqlite_database), ["S-1"])
    file = tmp_path / "own.db"
    back_up(sqlite_database, file, replace=False, progress=nothing, secret=SECRET)
    assert digest_file(file).stat().st_mode & 0o777 == 0o600
    restore(sqlite_database, file, replace=True, progress=nothing, secret=SECRET)

    with pytest.raises(DatabaseError, match="does not belong to its digest"):
        restore(sqlite_database, file, replace=True, progress=nothing, secret=SECRET + "!")
    craft(file, "UPDATE classifications SET cell_class = 'platelet'")
    with pytest.raises(DatabaseError, match="does not belong to its digest"):
        restore(sqlite_database, file, replace=True, progress=nothing, secret=SECRET)

    back_up(sqlite_database, file, replace=True, progress=nothing)
    assert not digest_file(file).exists()
    with pytest.raises(DatabaseError, match="--without-digest"):
        restore(sqlite_database, file, replace=True, progress=nothing, secret=SECRET)
    restore(sqlite_database, file, replace=True, progress=nothing, secret=SECRET, may_lack_digest=True)


def test_the_commands_take_the_secret_from_the_settings(
    sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_slides(sqlite_database, new_inbox(sqlite_database), ["S-1"])
    sqlite_database.close()
    monkeypatch.setenv("SMEARCOUNT_DATABASE_URL", f"sqlite:///{sqlite_database.file}")
    monkeypatch.setenv("SMEARCOUNT_BACKUP_SECRET", SECRET)
    file = tmp_path / "own.db"
    assert main(["backup", str(file)]) == 0
    assert digest_file(file).exists()
    assert main(["restore", str(file), "--replace"]) == 0
    digest_file(file).unlink()
    assert main(["restore", str(file), "--replace"]) == 1
    assert main(["restore", str(file), "--replace", "--without-digest"]) == 0
    assert main(["config"]) == 0
    assert SECRET not in "".join(capsys.readouterr())
