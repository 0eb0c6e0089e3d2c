"""Bringing a database to this version's schema: once, whoever asks, and never backwards."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from smearcount import db
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.ingest import inbox_registry
from smearcount.db.migration import _revisions, latest_revision, migrate, require_current
from smearcount.db.queries.inboxes import inbox_lines
from smearcount.db.schema import Base
from smearcount.db.upgrade import upgrade

from support.backing import url_of
from support.migrating import migrate_together


def _write_revision(database: Database, revision: str) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_an_empty_database_gets_all_tables_and_views(bare_database: Database) -> None:
    migrate(bare_database)

    with bare_database.reading() as connection:
        found = inspect(connection)
        assert set(Base.metadata.tables) < set(found.get_table_names())
        assert {"automatic_calls", "slide_differential", "slide_summary"} <= set(found.get_view_names())
    require_current(bare_database)


def test_the_schema_and_the_migrations_are_the_same(database: Database) -> None:
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_read_from_the_files_are_those_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(db.__file__).parent / "migrations"))
    assert [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()] == list(_revisions())


def test_what_runs_on_a_current_database_loads_no_alembic(database: Database) -> None:
    script = (
        "import sys\n"
        "from smearcount.db.engine.database import Database\n"
        "from smearcount.db.migration import migrate, require_current\n"
        "with Database(sys.argv[1]) as database:\n"
        "    migrate(database)\n"
        "    require_current(database)\n"
        "assert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, url_of(database)], check=True)


def test_migrating_again_changes_nothing(database: Database) -> None:
    inbox_registry.register_inbox(database, "/inbox", "/inbox")

    migrate(database)

    assert [line.name for line in inbox_lines(database)] == ["/inbox"]


def test_results_of_the_first_version_are_kept(bare_database: Database) -> None:
    if bare_database.file is not None:
        bare_database.file.parent.mkdir(parents=True, exist_ok=True)
    with bare_database.writing() as connection:
        upgrade(connection, "0001")
        connection.execute(text("INSERT INTO models (id, name, version, sha256, preprocessing, threshold) "
                                "VALUES (1, 'm', '1.0.0', 'f', 'p', 0.9)"))  # fmt: skip
    with pytest.raises(DatabaseError, match="older version"):
        require_current(bare_database)

    migrate(bare_database)

    require_current(bare_database)
    with bare_database.reading() as connection:
        assert connection.execute(text("SELECT version FROM models")).scalar_one() == "1.0.0"
        assert "unlikeness" in {column["name"] for column in inspect(connection).get_columns("classifications")}


def test_views_that_others_built_on_ours_go_on(bare_database: Database) -> None:
    if bare_database.file is not None:
        bare_database.file.parent.mkdir(parents=True, exist_ok=True)
    with bare_database.writing() as connection:
        upgrade(connection, "0002")
        connection.execute(text("CREATE VIEW of_the_site AS SELECT slide, wbc_counted FROM slide_summary"))
        before = {view: _columns(connection, view) for view in ("slide_summary", "slide_differential")}

    migrate(bare_database)

    with bare_database.reading() as connection:
        assert connection.execute(text("SELECT * FROM of_the_site")).all() == []
        for view, columns in before.items():
            assert _columns(connection, view)[: len(columns)] == columns


def _columns(connection: Connection, view: str) -> list[str]:
    return list(connection.execute(text(f"SELECT * FROM {view}")).keys())  # noqa: S608 (one of ours)


@pytest.mark.slow
def test_several_processes_may_migrate_at_once(bare_database: Database, tmp_path: Path) -> None:
    urls = [bare_database.url.render_as_string(hide_password=False)]
    if bare_database.file is not None:  # making a new file is a race of its own, so it is run more often
        urls += [f"sqlite:///{tmp_path / 'more' / f'{number}.db'}" for number in range(8)]
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(3)
    processes = [context.Process(target=migrate_together, args=(urls, gate)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]
    for url in urls:
        with Database(url) as database:
            require_current(database)
            assert len(inbox_lines(database)) == 1


def test_a_migration_that_fails_leaves_nothing(bare_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smearcount.db.upgrade.upgrade", _half)

    with pytest.raises(DatabaseError):
        migrate(bare_database)

    with bare_database.reading() as connection:
        assert inspect(connection).get_table_names() == []


def _half(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE half (id INTEGER)"))
    connection.execute(text("SELECT no"))


def test_a_newer_schema_is_refused(database: Database) -> None:
    _write_revision(database, "9999")

    for check in (migrate, require_current):
        with pytest.raises(DatabaseError, match=r"newer version of smearcount \(schema 9999\); upgrade"):
            check(database)
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_nothing_yet_is_said_as_it_is(bare_database: Database) -> None:
    with pytest.raises(DatabaseError, match=r"nothing has been counted yet .* start with: smearcount up"):
        require_current(bare_database)
    if bare_database.file is not None:
        assert not bare_database.file.exists(), "asking makes no file"


def test_an_older_schema_is_refused_with_the_remedy(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smearcount.db.migration.latest_revision", lambda: "next")

    with pytest.raises(DatabaseError, match=rf"older version \({latest_revision()}\); .* smearcount migrate"):
        require_current(database)


def test_a_data_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with (
        Database(f"sqlite:///{tmp_path / 'file' / 'data' / 'smearcount.db'}") as database,
        pytest.raises(DatabaseError, match="cannot make the data folder"),
    ):
        migrate(database)
