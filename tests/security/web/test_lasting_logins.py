"""Logins end: with the user, after a time however often they were used, and with what was shown during them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.web.api.changes import _listener
from smearcount.web.auth.access import SESSION_COOKIE, Access
from smearcount.web.auth.users import Role, Users
from smearcount.web.live.listeners import Listener
from smearcount.web.live.live_updates import MOST_OF_ONE_PERSON, LiveUpdates
from smearcount.web.problems import Problem
from smearcount.web.settings import WebSettings

from support.serving import make_lab

PASSWORD = "correct horse battery"  # noqa: S105 (of a test)


@pytest.fixture
def users(tmp_path: Path) -> Users:
    made = Users(tmp_path / "users.json")
    made.set("Anna", Role.REVIEWER, PASSWORD)
    made.set("Vera", Role.VIEWER, PASSWORD)
    return made


def asking(session_id: str) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"cookie", f"{SESSION_COOKIE}={session_id}".encode())]})


def test_a_login_ends_after_a_time_however_often_it_is_used(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("smearcount.web.auth.access.time.monotonic", lambda: now[0])
    access = Access(WebSettings(web_session_hours=2, web_login_hours=5), users.path.parent)
    session_id, session = access.log_in("Anna", PASSWORD, client="a")
    session.opened_at = session.used_at = now[0]
    hours = 0
    while access.person(asking(session_id)) is not None:
        now[0] += 3600
        hours += 1

    assert hours == 6
    assert not access.is_still_welcome(asking(session_id))


def test_following_does_not_prolong_a_login(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr("smearcount.web.auth.access.time.monotonic", lambda: now[0])
    access = Access(WebSettings(web_session_hours=2), users.path.parent)
    session_id, session = access.log_in("Anna", PASSWORD, client="a")
    session.opened_at = session.used_at = now[0]
    for _ in range(2):
        now[0] += 3599
        assert access.is_still_welcome(asking(session_id))
    now[0] += 3
    assert not access.is_still_welcome(asking(session_id))


@pytest.mark.parametrize("ending", ["removed", "logged out", "another password"])
def test_the_stream_ends_with_the_login(sqlite_database: Database, users: Users, ending: str) -> None:
    access = Access(WebSettings(), users.path.parent)
    session_id, _ = access.log_in("Vera", PASSWORD, client="a")
    updates = LiveUpdates(sqlite_database, most_listeners=10)

    async def followed() -> bool:
        listener = updates.join("Vera", lambda: access.is_still_welcome(asking(session_id)))
        stayed = updates.join("Anna")
        if ending == "removed":
            users.remove("Vera")
        elif ending == "logged out":
            access.log_out(asking(session_id))
        else:
            users.set("Vera", Role.VIEWER, PASSWORD + "!")
        assert [changes async for changes in listener.changes()] == []
        updates.leave(listener)
        is_other_open = not stayed._is_closed
        updates.leave(stayed)
        return is_other_open

    assert asyncio.run(asyncio.wait_for(followed(), 60))


def test_one_person_cannot_take_all_places(sqlite_database: Database) -> None:
    updates = LiveUpdates(sqlite_database, most_listeners=100)

    async def follow() -> None:
        theirs = [updates.join("Vera") for _ in range(MOST_OF_ONE_PERSON)]
        with pytest.raises(Problem):
            updates.join("Vera")
        others = [updates.join("Anna"), updates.join(), updates.join()]
        updates.leave(theirs.pop())
        theirs.append(updates.join("Vera"))
        for listener in (*theirs, *others):
            updates.leave(listener)

    asyncio.run(follow())


def test_who_follows_is_known_by_their_login(sqlite_database: Database, users: Users, tmp_path: Path) -> None:
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    application = lab.application()
    access: Access = application.state.access
    session_id, _ = access.log_in("Vera", PASSWORD, client="a")
    assert users.all()

    async def joined() -> str | None:
        request = asking(session_id)
        request.scope["app"] = application
        who = access.person(request)
        assert who is not None
        listening: AsyncIterator[Listener] = _listener(request, access, who)  # type: ignore[arg-type]
        listener = await anext(listening)
        with pytest.raises(StopAsyncIteration):
            await anext(listening)
        return listener.account

    assert asyncio.run(joined()) == "Vera"


@pytest.fixture
def client(sqlite_database: Database, users: Users, tmp_path: Path) -> Iterator[TestClient]:
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    lab.add_slide("S1")
    assert users.all()
    with lab.client() as client:
        yield client


@pytest.mark.parametrize("picture", ["image", "thumbnail"])
def test_a_picture_is_not_shown_from_the_browsers_cache_without_asking(client: TestClient, picture: str) -> None:
    session = client.post("/api/v1/session", json={"name": "Vera", "password": PASSWORD}).json()
    shown = client.get(f"/api/v1/cells/1/{picture}")
    assert shown.headers["cache-control"] == "private, no-cache"
    kept = {"If-None-Match": shown.headers["etag"]}
    assert client.get(f"/api/v1/cells/1/{picture}", headers=kept).status_code == 304
    client.delete("/api/v1/session", headers={"X-CSRF-Token": session["csrf_token"]})
    assert client.get(f"/api/v1/cells/1/{picture}", headers=kept).status_code == 401


def test_checks_are_made_on_demand_alone_and_never_by_a_link(client: TestClient) -> None:
    session = client.post("/api/v1/session", json={"name": "Vera", "password": PASSWORD}).json()
    csrf = {"X-CSRF-Token": session["csrf_token"]}
    assert client.get("/api/v1/system/checks").status_code == 405
    assert "Nobody has looked" in client.get("/system/checks", headers={"Accept": "text/html"}).text
    for path in ("/api/v1/system/checks", "/system/checks"):
        assert client.post(path).json()["type"] == "/problems/csrf"
    assert client.post("/api/v1/system/checks", headers=csrf).json()["checks"][0]["what"] == "database"
    assert "answers" in client.post("/system/checks", headers={**csrf, "Accept": "text/html"}).text
    assert "answers" in client.get("/system/checks", headers={"Accept": "text/html"}).text
