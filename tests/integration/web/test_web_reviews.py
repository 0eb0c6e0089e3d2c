"""Reviewing over the API: nothing is overwritten, nobody overrules another without knowing it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database

from support.serving import ANNA, BERTA, Lab, make_lab


@pytest.fixture
def lab(database: Database, tmp_path: Path) -> Lab:
    return make_lab(database, tmp_path / "inbox")


@pytest.fixture
def ids(lab: Lab) -> list[int]:
    return lab.add_slide("S1", unidentified=1, damaged=1)


@pytest.fixture
def client(lab: Lab, ids: list[int]) -> Iterator[TestClient]:
    del ids  # the slide is there before anyone asks
    with lab.client() as client:
        yield client


def change(cell: int, cell_class: str | None, seen: int | None = None) -> dict[str, object]:
    return {"changes": [{"cell": cell, "class": cell_class, "seen_review": seen}]}


def test_many_cells_are_reclassified_and_undone_as_one(client: TestClient, ids: list[int]) -> None:
    body = {"changes": [{"cell": cell, "class": "ig"} for cell in ids[:3]], "reason": "bands"}
    answer = client.post("/api/v1/reviews", json=body, headers=ANNA)
    assert answer.status_code == 201
    done = answer.json()
    assert [review["became"] for review in done["reviews"]] == ["ig"] * 3
    assert len({review["action"] for review in done["reviews"]}) == 1
    (now,) = done["differentials"]
    assert (now["reviewed"]["cells"]["ig"], now["automatic"]["cells"]["ig"]) == (3, 0)
    undone = client.post("/api/v1/slides/1/undo", headers=ANNA).json()
    assert len(undone["reviews"]) == 3
    assert undone["differentials"][0]["reviewed"]["cells"] == now["automatic"]["cells"]
    history = client.get(f"/api/v1/cells/{ids[0]}/history").json()["reviews"]
    assert [review["became"] for review in history] == ["ig", "neutrophil"]
    assert history[1]["undoes"] == history[0]["id"]
    again = client.post("/api/v1/slides/1/undo", headers=ANNA)
    assert (again.status_code, again.json()["type"]) == (409, "/problems/review-refused")


def test_a_cell_can_be_taken_out_of_the_count_and_given_back(client: TestClient, ids: list[int]) -> None:
    first = client.post("/api/v1/reviews", json=change(ids[0], "unidentified"), headers=ANNA).json()
    assert first["differentials"][0]["reviewed"]["unidentified"] == 2
    seen = first["reviews"][0]["id"]
    back = client.post("/api/v1/reviews", json=change(ids[0], None, seen), headers=BERTA).json()
    assert back["differentials"][0]["reviewed"]["cells"] == back["differentials"][0]["automatic"]["cells"]


def test_who_comes_second_is_told_what_happened_and_nothing_is_written(client: TestClient, ids: list[int]) -> None:
    client.post("/api/v1/reviews", json=change(ids[0], "ig"), headers=ANNA)
    body = {"changes": [{"cell": ids[1], "class": "monocyte"}, {"cell": ids[0], "class": "monocyte"}]}
    answer = client.post("/api/v1/reviews", json=body, headers=BERTA)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (409, "/problems/review-conflict")
    (conflict,) = problem["conflicts"]
    (review,) = conflict["reviews"]
    assert conflict["cell"] == ids[0]
    assert (review["reviewer"], review["was"], review["became"]) == ("Anna Lab", "neutrophil", "ig")
    assert review["reviewed_at"].endswith("Z")
    assert client.get(f"/api/v1/cells/{ids[1]}/history").json()["reviews"] == []
    seen = {"changes": [{"cell": ids[0], "class": "monocyte", "seen_review": review["id"]}]}
    assert client.post("/api/v1/reviews", json=seen, headers=BERTA).status_code == 201


def test_of_two_at_the_same_moment_one_wins_and_both_see_it(client: TestClient, ids: list[int]) -> None:
    together = Barrier(2)

    def decide(who: dict[str, str], cell_class: str) -> int:
        together.wait()
        return client.post("/api/v1/reviews", json=change(ids[0], cell_class), headers=who).status_code

    with ThreadPoolExecutor(2) as pool:
        codes = [each.result() for each in (pool.submit(decide, ANNA, "ig"), pool.submit(decide, BERTA, "monocyte"))]
    assert sorted(codes) == [201, 409]
    winner = "Anna Lab" if codes[0] == 201 else "Berta"
    (review,) = client.get(f"/api/v1/cells/{ids[0]}/history").json()["reviews"]
    assert review["reviewer"] == winner


def test_a_slide_is_commented_signed_and_reopened(client: TestClient, ids: list[int]) -> None:
    client.post("/api/v1/slides/1/comments", json={"text": "smudges"}, headers=ANNA)
    signed = client.post("/api/v1/slides/1/sign-off", json={"seen_review": 0}, headers=ANNA)
    assert signed.status_code == 201
    assert (signed.json()["status"], signed.json()["signed_by"]) == ("signed", "Anna Lab")
    refused = client.post("/api/v1/reviews", json=change(ids[0], "ig"), headers=BERTA)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/signed")
    assert client.post("/api/v1/slides/1/undo", headers=ANNA).json()["type"] == "/problems/signed"
    assert client.post("/api/v1/slides/1/sign-off", json={}, headers=BERTA).json()["type"] == "/problems/signed"
    reopened = client.post("/api/v1/slides/1/reopen", json={"reason": "look again"}, headers=BERTA).json()
    assert (reopened["status"], reopened["signed_by"]) == ("complete", None)
    assert [(event["kind"], event["reviewer"]) for event in reopened["events"]] == [
        ("comment", "Anna Lab"), ("sign-off", "Anna Lab"), ("reopen", "Berta"),
    ]  # fmt: skip
    assert client.post("/api/v1/reviews", json=change(ids[0], "ig"), headers=BERTA).status_code == 201


def test_nobody_signs_what_they_have_not_seen(client: TestClient, ids: list[int]) -> None:
    client.post("/api/v1/reviews", json=change(ids[0], "ig"), headers=BERTA)
    answer = client.post("/api/v1/slides/1/sign-off", json={"seen_review": 0}, headers=ANNA)
    assert answer.json()["type"] == "/problems/review-conflict"
    assert answer.json()["conflicts"][0]["reviews"][0]["reviewer"] == "Berta"
    last = client.get("/api/v1/slides/1").json()["last_review_id"]
    assert client.post("/api/v1/slides/1/sign-off", json={"seen_review": last}, headers=ANNA).status_code == 201


def test_a_late_image_takes_the_signature_away(lab: Lab, client: TestClient) -> None:
    client.post("/api/v1/slides/1/sign-off", json={"seen_review": 0}, headers=ANNA).raise_for_status()
    lab.write("S1", {"late.jpg": b"\xff\xd8\xff late"})
    slide = client.get("/api/v1/slides/1").json()
    assert (slide["status"], slide["signed_by"], slide["changed_since_signed"]) == ("counting", None, True)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"changes": [{"cell": 99, "class": "ig"}]}, 404, "/problems/unknown-cell"),
        ({"changes": [{"cell": 14, "class": "ig"}]}, 409, "/problems/review-refused"),
        ({"changes": [{"cell": 1, "class": "ig"}, {"cell": 1, "class": "ig"}]}, 409, "/problems/review-refused"),
        ({"changes": [{"cell": 1, "class": "blast"}]}, 422, "/problems/invalid"),
        ({"changes": [{"cell": 1}]}, 422, "/problems/invalid"),
        ({"changes": []}, 422, "/problems/invalid"),
        ({"changes": [{"cell": True, "class": "ig"}]}, 422, "/problems/invalid"),
        ({"changes": [{"cell": 1, "class": "ig", "sen_review": 3}]}, 422, "/problems/invalid"),
    ],
)
def test_what_cannot_be_reviewed_is_refused(client: TestClient, body: object, status: int, kind: str) -> None:
    answer = client.post("/api/v1/reviews", json=body, headers=ANNA)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)


@pytest.mark.parametrize("path", ["reviews", "slides/1/undo", "slides/1/comments", "slides/1/sign-off", "retry"])
def test_every_change_needs_a_name(client: TestClient, path: str) -> None:
    bodies = {"reviews": change(1, "ig"), "slides/1/comments": {"text": "x"}}
    answer = client.post(f"/api/v1/{path}", json=bodies.get(path, {}))
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-name")


def test_a_counting_slide_is_not_signed(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S2", is_complete=False)
    answer = client.post("/api/v1/slides/2/sign-off", json={}, headers=ANNA)
    assert answer.json()["type"] == "/problems/review-refused"
