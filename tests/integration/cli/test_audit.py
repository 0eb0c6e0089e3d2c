"""`smearcount audit verify`, `doctor` and `migrate`: whether people's work is as they left it, and who may change it."""

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from smearcount.db.audit.guards import restore_guards
from smearcount.db.engine.database import Database
from smearcount.db.review.sign_off import comment
from smearcount.differential.classes import CellClass

from support.backing import url_of
from support.reviewing import Bench
from support.running import Smearcount


@pytest.fixture
def bench(database: Database, smearcount: Smearcount) -> Bench:
    """One slide with two comments, in the database that the command opens."""
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = url_of(database)
    made = Bench(database)
    made.fill("S", [CellClass.NEUTROPHIL])
    for words in ("left shift?", "no"):
        comment(database, made.slide_id("S"), reviewer="Ada", text=words)
    return made


def change_a_comment(database: Database) -> None:
    with database.writing() as connection:
        if database.file is None:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            connection.execute(text("DROP TRIGGER slide_events_not_changed"))
        connection.execute(text("UPDATE slide_events SET text = 'yes' WHERE id = 2"))
    if database.file is not None:
        assert restore_guards(database) == ["slide_events_not_changed"]


def test_a_chain_that_holds_is_said_with_its_head(bench: Bench, smearcount: Smearcount) -> None:
    done = smearcount.call("audit", "verify")
    assert (done.returncode, done.stdout) == (0, "")
    assert "the chain holds: 0 reviews and 2 slide events; its head is 2:" in done.stderr
    head = done.stderr.split()[-1]

    found = smearcount.json("audit", "verify", "--head", head)
    assert (found["holds"], found["head"], found["slide_events"], found["breaks"]) == (True, head, 2, [])

    comment(bench.database, bench.slide_id("S"), reviewer="Ada", text="later")
    assert smearcount.call("audit", "verify", "--head", head).returncode == 0
    other = smearcount.call("audit", "verify", "--head", "2:" + "0" * 64)
    assert other.returncode == 1
    assert other.stdout == "the noted head does not stand in the chain: the chain was made anew\n"
    (audit,) = [line for line in smearcount_findings(smearcount) if line["what"] == "audit"]
    assert audit["state"] == "well"
    assert audit["details"].startswith("3 rows of what people did are as they were stored, head 3:")


def test_a_broken_chain_is_said_with_slide_and_time(bench: Bench, smearcount: Smearcount) -> None:
    change_a_comment(bench.database)

    done = smearcount.call("audit", "verify", "--format", "json")

    assert done.returncode == 1
    found = json.loads(done.stdout)
    (broken,) = found["breaks"]
    assert (found["holds"], found["broken"]) == (False, 1)
    assert (broken["slide"], broken["table"], broken["id"], broken["position"]) == ("S", "slide_events", 2, 2)
    assert broken["at"].endswith("+00:00")
    assert "the chain is broken in 1 place (0 reviews and 2 slide events)" in done.stderr
    table = smearcount.call("audit", "verify")
    assert table.returncode == 1
    assert re.fullmatch(
        r"slide S, slide_events 2, [-0-9]{10} [:0-9]{8} UTC: it is not as it was stored\n", table.stdout
    )
    assert (
        smearcount.call("audit", "verify", "--format", "csv").stdout.splitlines()[0].startswith("what,position,table,")
    )
    (audit,) = [line for line in smearcount_findings(smearcount) if line["what"] == "audit"]
    assert audit["state"] == "wrong"
    assert (
        "slide_events 2 of slide 1: it is not as it was stored; smearcount audit verify lists all 1" in audit["details"]
    )


def smearcount_findings(smearcount: Smearcount) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(smearcount.call("doctor", "--format", "json").stdout)
    return found


def test_what_is_no_head_is_a_line(smearcount: Smearcount) -> None:
    done = smearcount.call("audit", "verify", "--head", "nonsense")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 'nonsense' is no head of the chain")


@pytest.fixture
def login(postgresql_database: Database) -> Iterator[str]:
    """Yield a name for a login of the server, which is dropped afterwards."""
    name = f"smear_{uuid.uuid4().hex[:8]}"
    yield name
    with psycopg.connect(url_of(postgresql_database).replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def test_migrate_lets_services_log_in_and_doctor_says_what_they_may(
    postgresql_database: Database, smearcount: Smearcount, tmp_path: Path, login: str
) -> None:
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = url_of(postgresql_database)
    (roles,) = [line for line in smearcount_findings(smearcount) if line["what"] == "roles"]
    assert roles["state"] == "unknown"
    assert "only triggers keep it from changing" in roles["details"]
    named = postgresql_database.url.set(username=login, password="secret")  # noqa: S106
    as_login = named.render_as_string(hide_password=False)
    (tmp_path / "url").write_text(as_login + "\n")

    done = smearcount.call("migrate", "--login", "web", tmp_path / "url")

    assert done.returncode == 0, done.stderr
    assert f"{login} may log in with the rights of smearcount_web" in done.stderr
    assert "secret" not in done.stderr
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = as_login
    (roles,) = [line for line in smearcount_findings(smearcount) if line["what"] == "roles"]
    assert roles["state"] == "well"
    assert smearcount.call("migrate").returncode == 1, "only the owner grants"
    gone = smearcount.call("migrate", "--login", "web", tmp_path / "gone")
    assert (gone.returncode, "cannot be read: No such file" in gone.stderr) == (1, True)
