"""Over the API: calls that are lost with their images come back, and slides are withdrawn and restored."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.db.ingest import queueing, results
from smearcount.db.records import Classified

from support.exports import cell_bytes
from support.serving import ANNA, BERTA, MODEL, Lab, make_lab

WHY = {"reason": "a second export of S2, misspelt"}


@pytest.fixture
def lab(database: Database, tmp_path: Path) -> Lab:
    return make_lab(database, tmp_path / "inbox")


@pytest.fixture
def ids(lab: Lab) -> list[int]:
    return lab.add_slide("S1")


@pytest.fixture
def client(lab: Lab, ids: list[int]) -> Iterator[TestClient]:
    del ids  # the slide is there before anyone asks
    with lab.client() as client:
        yield client


def change(lab: Lab, filename: str, content: bytes) -> None:
    """Write other bytes to a file of S1, and count them."""
    lab.write("S1", {filename: content})
    outcomes = [
        Classified(image_id, hashlib.sha256(content).hexdigest(), "neutrophil", 0.9, (0.9, *[0.0] * 7), identified=True)
        for batch in queueing.take_batches(lab.database, lab.inbox_id, at_most=100, batch_size=64)
        for image_id in batch.image_ids
    ]
    results.store(lab.database, MODEL, "test", outcomes)
    lab.complete()


def test_calls_that_are_lost_with_their_images_are_named_and_brought_back(
    lab: Lab, client: TestClient, ids: list[int]
) -> None:
    original = (lab.folder / "S1" / "cell-0000.jpg").read_bytes()
    client.post("/api/v1/reviews", json={"changes": [{"cell": ids[0], "class": "ig"}]}, headers=ANNA)
    assert client.get("/api/v1/slides/1").json()["lost_calls"] == []

    change(lab, "cell-0000.jpg", cell_bytes(4711))

    detail = client.get("/api/v1/slides/1").json()
    (lost,) = detail["lost_calls"]
    assert (lost["cell"], lost["path"], lost["class"]) == (ids[0], "S1/cell-0000.jpg", "ig")
    assert (lost["reviewer"], lost["same_picture"]) == ("Anna Lab", None)
    assert detail["events"][-1]["kind"] == "content-changed"
    assert detail["reviewed_cells"] == 0
    nothing = client.post("/api/v1/slides/1/bring-back", headers=BERTA)
    assert (nothing.status_code, nothing.json()["type"]) == (409, "/problems/review-refused")
    page = client.get("/slides/1").text
    assert "Anna Lab" in page
    assert "called it Immature granulocyte" in page
    assert 'id="bring-back"' not in page

    change(lab, "cell-0000.jpg", original)

    (lost,) = client.get("/api/v1/slides/1").json()["lost_calls"]
    assert 'id="bring-back"' in client.get("/slides/1").text
    assert client.post("/api/v1/slides/1/bring-back").status_code == 400, "it needs a name"
    done = client.post("/api/v1/slides/1/bring-back", headers=BERTA).json()
    (review,) = done["reviews"]
    assert (review["cell"], review["class"], review["reviewer"]) == (lost["same_picture"], "ig", "Berta")
    assert done["differentials"][0]["reviewed"]["cells"]["ig"] == 1
    assert client.get("/api/v1/slides/1").json()["lost_calls"] == []


def test_a_page_brings_calls_back_too(lab: Lab, client: TestClient, ids: list[int]) -> None:
    original = (lab.folder / "S1" / "cell-0000.jpg").read_bytes()
    client.post("/api/v1/reviews", json={"changes": [{"cell": ids[0], "class": "ig"}]}, headers=ANNA)
    change(lab, "cell-0000.jpg", cell_bytes(4711))
    change(lab, "cell-0000.jpg", original)

    update = client.post("/slides/1/bring-back", headers=BERTA)

    assert update.status_code == 201
    assert update.json()["reviews"][-1]["reviewer"] == "Berta"
    assert 'id="bring-back"' not in update.json()["html"]


def test_a_withdrawn_slide_is_left_out_until_it_is_restored(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S2")

    answer = client.post("/api/v1/slides/1/withdraw", json=WHY, headers=ANNA)

    assert answer.status_code == 201
    assert answer.json()["withdrawn_at"].endswith("Z")
    (event,) = answer.json()["events"]
    assert (event["kind"], event["reviewer"], event["text"]) == ("withdraw", "Anna Lab", WHY["reason"])
    assert [one["slide"] for one in client.get("/api/v1/slides").json()["slides"]] == ["S2"]
    assert [one["slide"] for one in client.get("/api/v1/slides?withdrawn=true").json()["slides"]] == ["S1"]
    assert ">S1</a>" not in client.get("/").text
    assert ">S1</a>" in client.get("/?withdrawn=true").text
    assert client.get("/slides/1").status_code == 200
    assert "Withdrawn" in client.get("/slides/1").text
    for path in ("/slides/1/export?form=hl7", "/slides/1/export?form=csv", "/export?slides=2,1&form=json"):
        refused = client.get(f"/api/v1{path}")
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/review-refused"), path
    assert client.get("/slides/1/report").status_code == 409

    for body, expected in (({"reason": ""}, 422), ({}, 422)):
        assert client.post("/api/v1/slides/1/restore", json=body, headers=ANNA).status_code == expected
    restored = client.post("/slides/1/restore", json={"reason": "no mistake"}, headers=BERTA)
    assert restored.status_code == 201
    assert {one["slide"] for one in client.get("/api/v1/slides").json()["slides"]} == {"S1", "S2"}
    assert client.get("/api/v1/slides/1/export?form=hl7").status_code == 200
    again = client.post("/slides/1/withdraw", json=WHY, headers=ANNA)
    assert again.status_code == 201


@pytest.mark.parametrize("action", ["withdraw", "restore"])
def test_a_withdrawal_needs_a_person(client: TestClient, action: str) -> None:
    assert client.post(f"/api/v1/slides/1/{action}", json=WHY).status_code == 400
    assert client.post(f"/api/v1/slides/99/{action}", json=WHY, headers=ANNA).status_code == 404
