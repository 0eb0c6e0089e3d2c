"""What was sent, what waits and what was refused, on the command line; and what is wrong with the setting."""

import json
from pathlib import Path

import pytest

from smearcount.db.engine.database import Database

from support.receiving.delivering import send_all, sender, slides, to
from support.receiving.mllp import Lis, acknowledgement
from support.reviewing import Bench, sign
from support.running import Smearcount


@pytest.fixture
def command(sqlite_database: Database, tmp_path: Path) -> Smearcount:
    url = sqlite_database.url.render_as_string(hide_password=False)
    return Smearcount(tmp_path / "data", {"SMEARCOUNT_DATABASE_URL": url})


def test_a_refused_message_is_found_and_decided_about(command: Smearcount, sqlite_database: Database) -> None:
    bench = Bench(sqlite_database)
    first, second = slides(bench, "S-1", "S-2")
    with Lis(lambda message: [acknowledgement(message, "AR", "no order")]) as lis:
        one = sender(sqlite_database, to(lis.url))
        for slide_id in (first, second):
            sign(sqlite_database, slide_id, reviewer="Ada")
        send_all(one)
        (destination,) = command.json("deliveries", "destinations")
        assert (destination["name"], destination["parked"], destination["waiting"]) == ("lis", 2, 0)
        assert "lis" in command.call("deliveries").stdout
        parked = command.json("deliveries", "list", "--state", "parked")
        assert [row["reason"] for row in parked] == ["AR, rejected: no order"] * 2
        assert len(command.json("deliveries", "list", "--slide", "S-2")) == 1
        shown = command.call("deliveries", "show", "1")
        assert "\nOBX|1|NM|26511-6^" in shown.stdout
        assert "\nMSA|AR|" in shown.stdout
        status = command.call("status")
        assert "lis has refused 2 messages" in status.stderr
        lis.answering = lambda message: [acknowledgement(message)]
        assert command.call("deliveries", "send-again", "1", "--by", "Ada").returncode == 0
        assert command.call("deliveries", "give-up", "2", "--by", "Ada", "--reason", "by fax").returncode == 0
        send_all(one)
        one.close()
    rows = command.json("deliveries", "list")
    assert [(row["id"], row["state"]) for row in rows] == [(2, "given-up"), (1, "sent")]
    again = command.call("deliveries", "give-up", "1", "--by", "Ada", "--reason", "x")
    assert (again.returncode, again.stderr) == (1, "error: message 1 is sent already\n")
    assert command.call("deliveries", "show", "99").stderr == "error: there is no message 99\n"


def test_doctor_tries_each_destination(command: Smearcount, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with Lis() as lis:
        named = {
            "lis": {"url": lis.url},
            "gone": {"url": "mllp://127.0.0.1:1"},
            "archive": {"url": f"folder:{tmp_path / 'out'}"},
            "no-folder": {"url": f"folder:{tmp_path / 'none'}"},
        }
        command.environment["SMEARCOUNT_DESTINATIONS"] = json.dumps(named)
        found = {row["what"]: row for row in json.loads(command.call("doctor", "--format", "json").stdout)}
    assert found["destination lis"]["state"] == "well"
    assert found["destination gone"]["state"] == "wrong"
    assert "refused" in found["destination gone"]["details"]
    assert found["destination archive"]["state"] == "well"
    assert found["destination no-folder"]["state"] == "wrong"


def test_a_wrong_setting_is_said_in_one_line_and_shows_no_secret(command: Smearcount) -> None:
    command.call("config")  # closes the folder, which the fixture left open to others, and says so
    done = command.call("deliver")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "SMEARCOUNT_DESTINATIONS" in done.stderr
    command.environment["SMEARCOUNT_DESTINATIONS"] = '{"x": {"url": "https://h", "token": "hidden", "tokn": 1}}'
    done = command.call("deliver")
    assert done.stderr == "error: SMEARCOUNT_DESTINATIONS: destination x: tokn: Extra inputs are not permitted\n"
    checks = json.loads(command.call("doctor", "--format", "json").stdout)
    (found,) = [row for row in checks if row["what"] == "destinations"]
    assert found["state"] == "wrong"
    shown = {row["setting"]: row["value"] for row in command.json("config")}
    assert "hidden" not in shown["SMEARCOUNT_DESTINATIONS"]
