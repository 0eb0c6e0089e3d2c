"""Passwords in URLs are printed nowhere, however the URL is spelt."""

import pytest

from smearcount.db.engine.database import Database, without_password
from smearcount.db.errors import DatabaseError

from support.running import Smearcount

MALFORMED = [
    "postgres//lab:hunter2@db.lab.example/smearcount",
    "postgresql:/lab:hunter2@db.lab.example/smearcount",
    "lab:hunter2@db.lab.example",
    "postgresql://lab:hunter2@db.lab.example:port/smearcount",
    "mysql://lab:hunter2@db.lab.example/smearcount",
]
PROPER = [
    "postgresql://lab:hunter2@db.lab.example/smearcount",
    "postgresql://lab:x@hunter2@db.lab.example/smearcount",
    "postgresql://db.lab.example/smearcount?user=lab&password=hunter2",
    "postgresql://db.lab.example/smearcount?sslmode=verify-full&sslpassword=hunter2&application_name=x",
    "redis://:hunter2@broker.lab.example:6379/0",
    "redis://broker.lab.example:6379/0?PASSWORD=hunter2",
]


@pytest.mark.parametrize("url", [*MALFORMED, *PROPER])
def test_what_is_shown_of_a_url_holds_the_host_and_no_password(url: str) -> None:
    shown = without_password(url)
    assert "hunter2" not in shown
    assert ".lab.example" in shown


@pytest.mark.parametrize("url", MALFORMED)
def test_a_malformed_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", [*MALFORMED, "postgresql://127.0.0.1:1/x?user=lab&password=hunter2"])
def test_no_command_prints_it(smearcount: Smearcount, url: str) -> None:
    smearcount.environment |= {
        "SMEARCOUNT_DATABASE_URL": url,
        "SMEARCOUNT_BROKER_URL": "redis://:hunter2@127.0.0.1:1",
    }
    for command in ("config", "slides", "doctor"):
        done = smearcount.call(command)
        assert "hunter2" not in done.stdout + done.stderr, command
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["sqlite:////data/a:b@c/x.db", "redis+socket:///tmp/a:b@c/valkey.sock"])
def test_a_path_is_shown_whole(url: str) -> None:
    assert without_password(url) == url
