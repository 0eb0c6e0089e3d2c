"""What is sent to other systems, as pages and programs see it; and the cursors of programs that pull."""

import json
from pathlib import Path

import httpx2
import pytest

from smearcount.db.delivery.decisions import deliveries
from smearcount.db.engine.database import Database
from smearcount.db.review import sign_off, withdrawal

from support.receiving.delivering import send_all, sender, to
from support.receiving.mllp import Lis, acknowledgement
from support.reviewing import sign
from support.serving import ANNA, Lab, make_lab, served


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    return make_lab(sqlite_database, tmp_path / "inbox")


def slide_ids(lab: Lab, *names: str) -> list[int]:
    for name in names:
        lab.add_slide(name)
    with lab.client() as client:
        by_name = {one["slide"]: one["id"] for one in client.get("/api/v1/slides").json()["slides"]}
    return [by_name[name] for name in names]


def test_a_refused_message_is_seen_and_decided_about(lab: Lab) -> None:
    (slide_id,) = slide_ids(lab, "S-1")
    with Lis(lambda message: [acknowledgement(message, "AE", "no <order>")]) as lis, lab.client() as client:
        one = sender(lab.database, to(lis.url))
        sign(lab.database, slide_id, reviewer="Ada")
        send_all(one)
        listed = client.get("/api/v1/deliveries", params={"state": "parked"}).json()
        assert [(row["destination"], row["slide"], row["state"]) for row in listed["deliveries"]] == [
            ("lis", slide_id, "parked")
        ]
        assert listed["destinations"][0]["parked"] == 1
        message = listed["deliveries"][0]["id"]
        detail = client.get(f"/api/v1/deliveries/{message}").json()
        assert detail["body"].startswith("MSH|")
        assert "MSA|AE|" in detail["answer"]
        page = client.get(f"/deliveries/{message}", headers={"Accept": "text/html"})
        assert "no &lt;order&gt;" in page.text
        assert "AE, error" in client.get("/deliveries", headers={"Accept": "text/html"}).text

        refused = client.post(f"/api/v1/deliveries/{message}/give-up", json={"reason": "x"})
        assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad-name")
        lis.answering = lambda message: [acknowledgement(message)]
        again = client.post(f"/api/v1/deliveries/{message}/send-again", json={}, headers=ANNA)
        assert (again.json()["state"], again.json()["decided_by"]) == ("waiting", "Anna Lab")
        send_all(one)
        assert [found.state for found in deliveries(lab.database)] == ["sent"]
        late = client.post(f"/api/v1/deliveries/{message}/give-up", json={"reason": "x"}, headers=ANNA)
        assert (late.status_code, late.json()["type"]) == (409, "/problems/delivery-refused")
        assert client.get("/api/v1/deliveries/999").json()["type"] == "/problems/unknown-delivery"
        one.close()


def test_a_cursor_brings_what_happened_since_and_nothing_twice(lab: Lab) -> None:
    first, second, third = slide_ids(lab, "S-1", "S-2", "S-3")
    with lab.client() as client:

        def pull(**since: int) -> tuple[list[int], int]:
            found = client.get("/api/v1/slides", params={**since, "limit": 2}).json()
            return [one["id"] for one in found["slides"]], found["cursor"]

        assert client.get("/api/v1/slides").json()["cursor"] is None
        signed, cursor = pull(signed_since=0)
        assert signed == []
        changed, at = pull(changed_since=0)
        assert changed == [first, second]
        changed, at = pull(changed_since=at)
        assert changed == [third]
        sign(lab.database, second, reviewer="Ada")
        sign(lab.database, first, reviewer="Ada")
        sign_off.reopen(lab.database, second, reviewer="Ada", reason="look")
        sign_off.comment(lab.database, third, reviewer="Ada", text="pale")
        withdrawal.withdraw(lab.database, third, reviewer="Ada", reason="wrong")
        signed, cursor = pull(signed_since=cursor)
        assert signed == [second, first]
        signed, cursor = pull(signed_since=cursor)
        assert signed == [second, third]
        assert pull(signed_since=cursor) == ([], cursor)
        changed, at = pull(changed_since=at)
        changed, at = pull(changed_since=at)
        assert changed == [second, third]
        both = client.get("/api/v1/slides", params={"changed_since": 0, "status": "signed"})
        assert (both.status_code, both.json()["type"]) == (409, "/problems/cursor-alone")
        table = client.get("/api/v1/slides", params={"changed_since": at, "format": "csv"})
        assert table.headers["x-cursor"] == str(pull(changed_since=at)[1])


def test_the_live_stream_tells_what_was_missed(lab: Lab) -> None:
    first, second = slide_ids(lab, "S-1", "S-2")

    def events(address: str, last: str | None, number: int) -> list[tuple[str, str, list[int]]]:
        headers = {} if last is None else {"Last-Event-ID": last}
        found: list[tuple[str, str, list[int]]] = []
        parts: dict[str, str] = {}
        with httpx2.stream("GET", f"{address}api/v1/changes", headers=headers, timeout=60) as answer:
            for line in answer.iter_lines():
                name, _, value = line.partition(":")
                if name:
                    parts[name] = value.strip()
                elif "data" in parts:
                    found.append((parts["event"], parts["id"], json.loads(parts["data"])["slides"]))
                    parts = {}
                    if len(found) == number:
                        return found
        raise AssertionError("the stream has ended")

    with served(lab) as address:
        ((kind, last, slides),) = events(address, None, 1)
        assert (kind, slides) == ("ready", [])
        sign(lab.database, second, reviewer="Ada")
        sign(lab.database, first, reviewer="Ada")
        ready, missed = events(address, last, 2)
        assert ready[0] == "ready"
        assert missed[::2] == ("slides", [first, second])
        assert int(missed[1]) >= int(last) + 2
