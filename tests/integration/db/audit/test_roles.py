"""PostgreSQL's roles: made where that is allowed, granted what each part needs, and no right to change what people did."""

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url, text

from smearcount.db.audit.verification import verify
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.ingest import retry
from smearcount.db.migration import migrate
from smearcount.db.queries.counts import slide_tallies
from smearcount.db.review.records import Change
from smearcount.db.review.reviews import reclassify
from smearcount.db.review.sign_off import comment
from smearcount.db.roles import Role, arrange, rights
from smearcount.differential.classes import CellClass

from support.backing import url_of
from support.reviewing import IG, Bench


@pytest.fixture
def lent(postgresql_database: Database) -> Iterator[list[str]]:
    """Yield a list for the names of logins of a test, which are dropped afterwards."""
    names: list[str] = []
    yield names
    with psycopg.connect(_plain(url_of(postgresql_database)), autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP OWNED BY {0} CASCADE").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {0}").format(sql.Identifier(name)))


def _plain(url: str) -> str:
    return url.replace("postgresql+psycopg:", "postgresql:")


def as_user(database: Database, name: str, password: str | None = None) -> str:
    """Return the URL of a database for another user."""
    return database.url.set(username=name, password=password).render_as_string(hide_password=False)


def let_in(database: Database, role: Role, lent: list[str]) -> Database:
    """Let a new user log in with the rights of a role, and return the database as they open it."""
    name = f"smear_{uuid.uuid4().hex[:8]}"
    lent.append(name)
    assert arrange(database, [(role, as_user(database, name, "it's 100% secret"))]) == [name]
    return Database(as_user(database, name))


def test_each_service_does_its_work_with_its_own_role(postgresql_database: Database, lent: list[str]) -> None:
    with (
        let_in(postgresql_database, Role.WORKER, lent) as worker,
        let_in(postgresql_database, Role.WEB, lent) as web,
        let_in(postgresql_database, Role.READER, lent) as reader,
    ):
        for service in (worker, web, reader):
            migrate(service)  # as each service does when it starts
        counting = Bench(worker)
        ids = counting.fill("S", [CellClass.NEUTROPHIL] * 3)
        counting.complete()
        reclassify(web, [Change(ids[0], IG, None)], reviewer="Ada")
        comment(web, 1, reviewer="Ada", text="bands")
        assert retry.retry(web).images == 0
        assert [one.tally.slide for one in slide_tallies(reader)] == ["S"]
        for service in (worker, web, reader):
            assert verify(service).holds
            found = rights(service)
            assert found is not None
            assert not found.may_change
            assert found.missing == ()


@pytest.mark.parametrize("role", list(Role))
def test_no_role_may_change_what_people_did(postgresql_database: Database, lent: list[str], role: Role) -> None:
    with let_in(postgresql_database, role, lent) as service:
        statements = [
            "UPDATE reviews SET reviewer = 'Eve'", "DELETE FROM reviews", "TRUNCATE reviews CASCADE",
            "UPDATE slide_events SET text = ''", "DELETE FROM slide_events", "TRUNCATE slide_events",
            "DELETE FROM audit_chain", "ALTER TABLE reviews DISABLE TRIGGER ALL", "DROP TABLE slide_events",
            "INSERT INTO audit_chain VALUES (2, 0, '', '', 0, 0)", "DELETE FROM images",
            "UPDATE alembic_version SET version_num = ''",
        ]  # fmt: skip
        if role is Role.READER:
            statements += ["INSERT INTO slide_events (slide_id, kind, reviewer, at) VALUES (1, 'comment', '', now())"]
        for statement in statements:
            refused = "permission denied|must be owner"
            with pytest.raises(DatabaseError, match=refused), service.writing() as connection:
                connection.execute(text(statement))


def test_the_owner_is_told_what_the_services_should_log_in_as(postgresql_database: Database) -> None:
    found = rights(postgresql_database)
    assert found is not None
    assert found.may_change
    assert found.remedy == ""


def test_sqlite_knows_no_logins(sqlite_database: Database) -> None:
    assert rights(sqlite_database) is None
    assert arrange(sqlite_database) == []
    with pytest.raises(DatabaseError, match="SQLite database knows no logins"):
        arrange(sqlite_database, [(Role.WEB, "postgresql://a:b@c/d")])


@pytest.mark.parametrize("url", ["postgresql://host/name", "postgresql://user@host/name", "no url"])
def test_a_url_without_user_and_password_lets_nobody_in(postgresql_database: Database, url: str) -> None:
    with pytest.raises(DatabaseError, match="names a user and a password"):
        arrange(postgresql_database, [(Role.WEB, url)])


def test_passwords_reach_the_server_as_scram_alone(postgresql_database: Database, lent: list[str]) -> None:
    with let_in(postgresql_database, Role.WEB, lent), postgresql_database.reading() as connection:
        stored = connection.execute(
            text("SELECT rolpassword FROM pg_authid WHERE rolname = :name"), {"name": lent[0]}
        ).scalar_one()
    assert stored.startswith("SCRAM-SHA-256$")


def test_an_owner_who_may_make_no_roles_migrates_all_the_same(
    postgresql_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles that the server lacks are named; the triggers are there in any case."""
    owner, database = (f"smear_{uuid.uuid4().hex[:8]}" for _ in range(2))
    server = _plain(url_of(postgresql_database))
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(owner)))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(owner))
        )
    try:
        url = make_url(server).set(username=owner, database=database).render_as_string(hide_password=False)
        with monkeypatch.context() as patch:
            patch.setattr("smearcount.db.roles._missing", lambda _: list(Role))
            with Database(url) as opened:
                migrate(opened)
                assert arrange(opened) == []
                found = rights(opened)
                assert found is not None
                assert found.missing == tuple(Role)
                assert "CREATE ROLE smearcount_web LOGIN PASSWORD" in found.remedy
                bench = Bench(opened)
                bench.fill("S", [CellClass.NEUTROPHIL])
                comment(opened, 1, reviewer="Ada", text="hm")
                with pytest.raises(DatabaseError, match="only added"), opened.writing() as connection:
                    connection.execute(text("DELETE FROM slide_events"))
                with pytest.raises(DatabaseError, match="permission denied"):
                    arrange(opened, [(Role.WEB, "postgresql://somebody:secret@host/name")])
        with Database(url) as opened:  # an administrator has made the roles meanwhile
            arrange(opened)
            with opened.reading() as connection:
                granted = connection.execute(text("SELECT has_table_privilege('smearcount_web', 'reviews', 'INSERT')"))
                assert granted.scalar_one()
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(owner)))


def test_a_service_that_is_newer_than_the_database_says_who_upgrades_it(
    postgresql_database: Database, lent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with let_in(postgresql_database, Role.WEB, lent) as web:
        monkeypatch.setattr("smearcount.db.migration.latest_revision", lambda: "next")
        with pytest.raises(DatabaseError, match=r"upgraded by the owner of its tables, \w+: run `smearcount migrate`"):
            migrate(web)
        with pytest.raises(DatabaseError, match="upgraded by the owner"):
            arrange(web)
