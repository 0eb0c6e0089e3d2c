"""`smearcount web` as a process: live changes, users, and an end without a trace."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from smearcount.db.engine.database import Database

from support.running import Smearcount
from support.serving import ANNA, Lab, make_lab
from support.waiting import PATIENCE, wait_until

PASSWORD = "correct horse battery"  # noqa: S105 (of a test)


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    return make_lab(sqlite_database, tmp_path / "inbox")


@pytest.fixture
def smearcount(lab: Lab, tmp_path: Path) -> Iterator[Smearcount]:
    """The command with the lab's database; what it started is ended, and nothing may outlive it."""
    command = Smearcount(tmp_path / "kept", {"SMEARCOUNT_DATABASE_URL": str(lab.database.url)})
    yield command
    command.end()


class Web:
    """A running `smearcount web` and a client of it."""

    def __init__(self, smearcount: Smearcount, *arguments: object) -> None:
        self.process = smearcount.start("web", "--port", 0, *arguments)
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if line.startswith(("serving", "error")))
        self.address = line.split()[1].partition("?")[0]
        self.client = httpx2.Client(base_url=self.address, timeout=PATIENCE)

    def end(self, number: signal.Signals = signal.SIGINT) -> str:
        """End it and return what it said."""
        self.process.send_signal(number)
        said, _ = self.process.communicate(timeout=PATIENCE)
        self.client.close()
        assert self.process.returncode == 130, said
        assert "Traceback" not in said
        return said


def events(stream: Iterator[str]) -> Iterator[tuple[str, list[int]]]:
    """Yield the events of a stream: name and slides."""
    name = ""
    for line in stream:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))["slides"]


def test_changes_arrive_live_and_the_stream_ends_with_the_server(lab: Lab, smearcount: Smearcount) -> None:
    web = Web(smearcount)
    with web.client.stream("GET", "/api/v1/changes") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] in {"no-cache", "no-store"}
        told = events(answer.iter_lines())
        assert next(told) == ("ready", [])
        ids = lab.add_slide("S1")
        name, slides = next(told)
        assert (name, slides) == ("slides", [1])
        change = {"changes": [{"cell": ids[0], "class": "ig"}]}
        # What is told may have changed in several steps; whatever is told now came before the review.
        review = web.client.post("/api/v1/reviews", json=change, headers=ANNA).json()
        assert next(told) == ("slides", [1])
        assert review["differentials"][0]["reviewed"]["cells"]["ig"] == 1
        web.process.send_signal(signal.SIGTERM)
        # The stream ends by itself: nobody has to break it.
        assert [name for name, _ in told if name != "slides"] == []
    assert "ended" in web.end()


def test_all_who_follow_are_told_and_too_many_are_refused(lab: Lab, smearcount: Smearcount) -> None:
    smearcount.environment["SMEARCOUNT_WEB_LISTENERS"] = "2"
    web = Web(smearcount)
    with (
        web.client.stream("GET", "/api/v1/changes") as first,
        web.client.stream("GET", "/api/v1/changes") as second,
    ):
        both = [events(one.iter_lines()) for one in (first, second)]
        assert [next(told)[0] for told in both] == ["ready"] * 2
        refused = web.client.get("/api/v1/changes")
        assert (refused.status_code, refused.json()["type"]) == (503, "/problems/too-many-listeners")
        assert "smearcount_listeners 2.0" in web.client.get("/metrics").text
        lab.add_slide("S1")
        assert [next(told) for told in both] == [("slides", [1])] * 2
    # Whoever goes makes room.
    wait_until(lambda: "smearcount_listeners 0.0" in web.client.get("/metrics").text, what="the listeners to be gone")
    web.end()


def test_a_port_that_is_taken_is_said_in_one_line(smearcount: Smearcount) -> None:
    web = Web(smearcount)
    taken = web.address.rstrip("/").rpartition(":")[2]
    done = smearcount.call("web", "--port", taken)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: cannot listen on 127.0.0.1 port {taken}")
    assert "Traceback" not in done.stderr
    web.end(signal.SIGTERM)


def test_a_token_is_shown_nowhere(smearcount: Smearcount) -> None:
    smearcount.environment["SMEARCOUNT_WEB_TOKEN"] = "do-not-show-this-token"  # noqa: S105 (of a test)
    shown = smearcount.call("config", "--format", "json")
    assert "SMEARCOUNT_WEB_TOKEN" in shown.stdout
    assert "do-not-show" not in shown.stdout + shown.stderr
    web = Web(smearcount)
    assert web.client.get("/api/v1/slides").status_code == 401
    allowed = {"Authorization": "Bearer do-not-show-this-token"}
    assert web.client.get("/api/v1/slides", headers=allowed).status_code == 200
    assert "do-not-show" not in web.end()


@pytest.mark.slow
def test_a_fresh_installation_shows_an_empty_list(tmp_path: Path) -> None:
    smearcount = Smearcount(tmp_path / "kept")
    try:
        web = Web(smearcount)
        assert web.client.get("/readyz").json() == {"status": "ok"}
        assert web.client.get("/api/v1/slides").json() == {"slides": [], "next": None, "cursor": None}
        system = web.client.get("/api/v1/system").json()
        assert (system["inboxes"], system["queue"], system["model"]["name"]) == ([], None, "smearcount")
        checks = web.client.post("/api/v1/system/checks").json()["checks"]
        assert {check["what"]: check["state"] for check in checks} == {
            "database": "well", "audit": "well", "broker": "unknown", "encryption": "well", "model": "well", "pattern": "well",
            "folders": "well", "slides": "well", "images": "unknown",
        }  # fmt: skip
        web.end()
    finally:
        smearcount.end()


def user(smearcount: Smearcount, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "smearcount.cli.main", "web-user", *arguments],
        env=smearcount.all_environment(),
        input=password,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_users_made_on_the_command_line_log_in(lab: Lab, smearcount: Smearcount) -> None:
    lab.add_slide("S1")
    assert user(smearcount, "Anna", password=f"{PASSWORD}\n").returncode == 0
    web = Web(smearcount)
    assert web.client.get("/api/v1/slides").status_code == 401
    login = {"name": "Anna", "password": PASSWORD}
    assert web.client.post("/api/v1/session", json=login).status_code == 201
    assert len(web.client.get("/api/v1/slides").json()["slides"]) == 1
    assert smearcount.call("web-user", "Vera", "--role", "viewer", typed=f"{PASSWORD}\n").returncode == 0
    vera = {"name": "Vera", "password": PASSWORD}
    assert web.client.post("/api/v1/session", json=vera).json()["role"] == "viewer"
    assert smearcount.call("web-user", "Vera", "--remove").returncode == 0
    assert web.client.get("/api/v1/slides").status_code == 401
    web.end()


@pytest.mark.parametrize(
    ("arguments", "password", "says"),
    [
        (["Anna"], "", "no password"),
        (["Anna"], "short\n", "8 to 256"),
        ([" Anna"], f"{PASSWORD}\n", "name"),
        (["Anna", "--remove"], "", "no user"),
    ],
)
def test_what_makes_no_user_is_said(smearcount: Smearcount, arguments: list[str], password: str, says: str) -> None:
    done = smearcount.call("web-user", *arguments, typed=password)
    assert (done.returncode, done.stderr.startswith("error: ")) == (1, True)
    assert says in done.stderr
    assert PASSWORD not in done.stderr


def test_at_a_terminal_the_password_is_asked_for_without_echo(smearcount: Smearcount) -> None:
    ours, theirs = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "smearcount.cli.main", "web-user", "Anna"],
            env=smearcount.all_environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        shown = b""
        for prompt in (b"Password: ", b"Repeat for confirmation: "):
            while not shown.endswith(prompt):
                shown += os.read(ours, 1000)
            os.write(ours, PASSWORD.encode() + b"\n")
        while b"may log in" not in shown:
            shown += os.read(ours, 1000)
        assert process.wait(timeout=PATIENCE) == 0
        assert PASSWORD.encode() not in shown
    finally:
        os.close(ours)
