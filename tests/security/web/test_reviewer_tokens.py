"""A token does not let anybody speak in the name of a user, and the record says by which token something was done."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.web.auth.users import Role, Users
from smearcount.web.errors import UsersInvalid
from smearcount.web.settings import WebSettings

from support.serving import make_lab

TOKEN = "t" * 32
MARK = f"(token {hashlib.sha256(TOKEN.encode()).hexdigest()[:8]})"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CHANGE = {"changes": [{"cell": 1, "class": "ig"}]}


@pytest.fixture
def client(sqlite_database: Database, tmp_path: Path) -> Iterator[TestClient]:
    """A program at a server with the user Anna Lab and a token."""
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    lab.add_slide("S1")
    Users(tmp_path / "users.json").set("Anna Lab", Role.REVIEWER, "correct horse battery")
    with lab.client(WebSettings(web_token=TOKEN)) as client:  # type: ignore[arg-type]
        yield client


@pytest.mark.parametrize("name", ["Anna Lab", "anna lab", "ANNA LAB", "Anna%20%20Lab", "%EF%BC%A1nna%20Lab"])
def test_a_token_does_not_speak_for_a_user(client: TestClient, name: str) -> None:
    done = client.post("/api/v1/reviews", json=CHANGE, headers={**BEARER, "X-Reviewer": name})
    assert (done.status_code, done.json()["type"]) == (403, "/problems/not-allowed")
    assert client.get("/api/v1/cells/1/history", headers=BEARER).json()["reviews"] == []


def test_nor_in_a_session_that_was_opened_with_it(client: TestClient) -> None:
    done = client.post("/api/v1/session", json={"name": "Anna Lab", "token": TOKEN})
    assert (done.status_code, done.json()["type"]) == (403, "/problems/not-allowed")
    assert "set-cookie" not in done.headers


def test_the_record_says_by_which_token(client: TestClient) -> None:
    client.post("/api/v1/reviews", json=CHANGE, headers={**BEARER, "X-Reviewer": "LIS"})
    session = client.post("/api/v1/session", json={"name": "Guest", "token": TOKEN}).json()
    comment = client.post(
        "/api/v1/slides/1/comments", json={"text": "seen"}, headers={"X-CSRF-Token": session["csrf_token"]}
    )

    (review,) = client.get("/api/v1/cells/1/history", headers=BEARER).json()["reviews"]
    assert review["reviewer"] == f"LIS {MARK}"
    assert [event["reviewer"] for event in comment.json()["events"]] == [f"Guest {MARK}"]
    assert TOKEN not in comment.text


def test_nobody_is_named_as_if_a_token_had_done_it(client: TestClient, tmp_path: Path) -> None:
    with pytest.raises(UsersInvalid, match="does not end like"):
        Users(tmp_path / "users.json").set(f"LIS {MARK}", Role.REVIEWER, "correct horse battery")
    done = client.post("/api/v1/reviews", json=CHANGE, headers={**BEARER, "X-Reviewer": f"LIS {MARK}"})
    assert (done.status_code, done.json()["type"]) == (400, "/problems/bad-name")
