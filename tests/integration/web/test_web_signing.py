"""Signing over the API: what was seen is named, what stands in the way is said, and what was signed stays as it was."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.differential.classes import CellClass
from smearcount.differential.forms import fhir, hl7
from smearcount.differential.forms.examination import Export
from smearcount.differential.forms.report_page import report_page
from smearcount.differential.forms.spreadsheet import examinations_csv
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import Policy, SignOffSettings
from smearcount.web.queries.examinations import examinations

from support.serving import ANNA, BERTA, Lab, make_lab

#: Another site's ranges and limits: everything that depends on settings comes out differently.
OTHERS = CountSettings(
    reference_ranges={CellClass.NEUTROPHIL: (1, 2), CellClass.IG: (50, 60)}, minimum_wbc=1, nrbc_correction_at=0.1
)
EXPORT = Export(key="1", at=datetime(2026, 3, 1, tzinfo=UTC), version="9.9.9")

SIGN, SLIDE = "/api/v1/slides/1/sign-off", "/api/v1/slides/1"


@pytest.fixture
def lab(database: Database, tmp_path: Path) -> Lab:
    return make_lab(database, tmp_path / "inbox")


@pytest.fixture
def ids(lab: Lab) -> list[int]:
    return lab.add_slide("S1", unidentified=1, damaged=1)


@pytest.fixture
def client(lab: Lab, ids: list[int]) -> Iterator[TestClient]:
    """A client of a site that has set nothing."""
    del ids  # the slide is there before anyone asks
    with lab.client(sign_off=SignOffSettings()) as client:
        yield client


def seen(client: TestClient) -> dict[str, Any]:
    """What a careful person sends who has looked at the slide."""
    slide = client.get(SLIDE).json()
    return {"seen_digest": slide["digest"], "acknowledged": [one["code"] for one in slide["obstacles"]]}


def changed(client: TestClient, ids: list[int]) -> str:
    """Reclassify a cell so that the slide is a reviewed one."""
    change = {"changes": [{"cell": ids[0], "class": "ig"}], "reason": "band"}
    client.post("/api/v1/reviews", json=change, headers=ANNA).raise_for_status()
    return "ig"


def test_a_signature_names_what_was_seen(client: TestClient, ids: list[int]) -> None:
    body = seen(client)
    changed(client, ids)

    answer = client.post(SIGN, json=body, headers=BERTA)

    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (409, "/problems/result-changed")
    assert problem["changed"] == {
        "images_added": 0, "added": [], "images_gone": 0, "gone": [], "files_not_counted": 0, "calls_changed": 1,
        "called_anew": [], "settings": False,
    }  # fmt: skip
    (conflict,) = problem["conflicts"]
    assert (conflict["cell"], conflict["reviews"][0]["reviewer"]) == (ids[0], "Anna Lab")
    assert "1 call changed by Anna Lab" in problem["detail"]
    assert client.get(SLIDE).json()["status"] == "complete"
    assert client.post(SIGN, json=seen(client), headers=BERTA).status_code == 201


def test_images_that_came_since_are_told(lab: Lab, client: TestClient) -> None:
    body = seen(client)
    lab.write("S1", {f"late-{number}.jpg": f"late {number}".encode() for number in range(2)})
    with lab.database.writing() as connection:
        connection.execute(text("UPDATE images SET state = 'quarantined' WHERE state = 'pending'"))
    lab.complete()

    problem = client.post(SIGN, json=body, headers=BERTA).json()
    assert problem["changed"]["files_not_counted"] == 2
    assert problem["conflicts"] == []


@pytest.mark.parametrize("body", [{}, {"comment": "fine"}, {"seen_review": None, "seen_digest": None}])
def test_who_does_not_say_what_was_seen_does_not_sign(client: TestClient, body: dict[str, object]) -> None:
    answer = client.post(SIGN, json=body, headers=ANNA)
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/review-refused")
    assert "digest" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body", [{"seen_digest": "abc"}, {"seen_digest": f"{'0' * 64}.1.1.1"}, {"seen_review": 0, "acknowledged": ["all"]}]
)
def test_what_is_no_digest_and_no_obstacle_is_invalid(client: TestClient, body: dict[str, object]) -> None:
    answer = client.post(SIGN, json=body, headers=ANNA)
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/invalid")


def test_what_stands_in_the_way_is_said_before_and_kept_afterwards(client: TestClient) -> None:
    obstacles = client.get(SLIDE).json()["obstacles"]
    assert [(one["code"], one["policy"]) for one in obstacles] == [
        ("unidentified", "acknowledge"), ("few-wbc", "acknowledge"), ("quarantined", "acknowledge"),
    ]  # fmt: skip
    body = seen(client)
    answer = client.post(SIGN, json={**body, "acknowledged": ["few-wbc"]}, headers=ANNA)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (409, "/problems/signature-hindered")
    assert problem["obstacles"] == obstacles
    assert "(unidentified, quarantined)" in problem["detail"]

    signed = client.post(SIGN, json=body, headers=ANNA).json()
    assert (signed["status"], signed["obstacles"]) == ("signed", [])
    (event,) = signed["events"]
    assert event["acknowledged"] == [{"code": one["code"], "message": one["message"]} for one in obstacles]


def test_programs_that_know_no_digest_acknowledge_as_well(client: TestClient) -> None:
    answer = client.post(SIGN, json={"seen_review": 0}, headers=ANNA)
    assert answer.json()["type"] == "/problems/signature-hindered"
    body = {"seen_review": 0, "acknowledged": ["unidentified", "few-wbc", "quarantined"]}
    assert client.post(SIGN, json=body, headers=ANNA).status_code == 201


def test_what_the_site_refuses_is_said(lab: Lab, ids: list[int]) -> None:
    del ids
    refusing = SignOffSettings(sign_off_quarantined=Policy.REFUSED, sign_off_few_wbc=Policy.ALLOWED)
    with lab.client(sign_off=refusing) as client:
        body = seen(client)
        assert body["acknowledged"] == ["unidentified", "quarantined"]
        problem = client.post(SIGN, json=body, headers=ANNA).json()
    assert problem["type"] == "/problems/signature-hindered"
    assert "1 file could not be used: this site signs no such slide" in problem["detail"]


def without_export(answer: str) -> str:
    """Return an export without its own time and ids."""
    answer = re.sub(r"\d{14}\+0000\|\|ORU\^R01\^ORU_R01\|[0-9a-f]+", "", answer)
    answer = re.sub(r"BHS[^\r]*", "", answer)
    answer = re.sub(r'"export": \{[^}]*\}', "", answer)
    answer = re.sub(r'"timestamp": "[^"]*"', "", answer)
    bundle = re.search(r'"resourceType": "Bundle", "id": "([^"]*)"', answer)
    answer = answer if bundle is None else answer.replace(bundle[1], "")
    return re.sub(r"Printed [^<]*?UTC", "", answer)


@pytest.mark.parametrize("is_reviewed", [True, False])
def test_every_export_tells_what_was_signed_after_settings_and_model_changed(
    lab: Lab, client: TestClient, ids: list[int], *, is_reviewed: bool
) -> None:
    if is_reviewed:
        changed(client, ids)
    client.post(SIGN, json=seen(client), headers=ANNA).raise_for_status()
    paths = [f"{SLIDE}/export?form={form}" for form in ("json", "csv", "fhir", "hl7")]
    paths += [f"/api/v1/export?slides=1&form={form}" for form in ("json", "csv", "fhir", "hl7")]
    paths += [f"{SLIDE}/differential", f"{SLIDE}/differential?format=csv", "/slides/1/report"]
    before = {path: without_export(client.get(path).text) for path in paths}
    forms = made_forms(lab, CountSettings())

    with lab.database.writing() as connection:
        connection.execute(text("UPDATE models SET name = 'another', version = '7.0.0', card_sha256 = :card, threshold = 0.9"),
                           {"card": "e" * 64})  # fmt: skip
    with lab.client(counts=OTHERS) as other:
        assert {path: without_export(other.get(path).text) for path in paths} == before
        slide = other.get(SLIDE).json()
        (listed,) = other.get("/api/v1/slides").json()["slides"]
        assert listed["flags"] == slide["flags"]
        codes = {flag["code"] for flag in slide["flags"]}
        assert "few-wbc" in codes
        found = other.get("/api/v1/slides?flag=few-wbc").json()["slides"]
        assert [one["id"] for one in found] == [1]
    assert made_forms(lab, OTHERS) == forms

    # Without the signature, all of that is counted by the new settings.
    with lab.client(counts=OTHERS) as other:
        other.post(f"{SLIDE}/reopen", json={"reason": "new ranges"}, headers=ANNA).raise_for_status()
        after = {path: without_export(other.get(path).text) for path in paths}
        assert all(after[path] != before[path] for path in paths)
        assert "few-wbc" not in {flag["code"] for flag in other.get(SLIDE).json()["flags"]}


def made_forms(lab: Lab, settings: CountSettings) -> list[object]:
    """Return every form of the slide, byte for byte, as the same export would write them."""
    (examination,) = examinations(lab.database, [1], settings)
    return [
        hl7.oru(examination, EXPORT), hl7.batch([examination], EXPORT), fhir.bundles_ndjson([examination], EXPORT),
        examination.as_json(EXPORT), examinations_csv(examination), report_page(examination, EXPORT),
    ]  # fmt: skip


def test_the_version_that_made_the_result_is_named_by_a_later_one(lab: Lab, client: TestClient) -> None:
    client.post(SIGN, json=seen(client), headers=ANNA).raise_for_status()
    (examination,) = examinations(lab.database, [1], CountSettings())
    devices = [
        entry["resource"] for entry in fhir.bundle(examination, EXPORT)["entry"] if entry["resource"]["resourceType"] == "Device"
    ]  # fmt: skip
    assert devices[0]["version"] == [{"value": "0.0.0"}]


def test_the_history_keeps_every_signed_result(lab: Lab, client: TestClient, ids: list[int]) -> None:
    first = client.post(SIGN, json=seen(client), headers=ANNA).json()
    client.post(f"{SLIDE}/reopen", json={"reason": "a band"}, headers=BERTA).raise_for_status()
    changed(client, ids)
    client.post(SIGN, json=seen(client), headers=BERTA).raise_for_status()

    with lab.client(counts=OTHERS) as other:
        events = [event for event in other.get(SLIDE).json()["events"] if event["kind"] == "sign-off"]
    assert events[0] == first["events"][0]
    assert [event["signed"]["reviewed"]["cells"]["ig"] for event in events] == [0, 1]
    assert events[0]["signed"]["automatic"] == first["differential"]["automatic"]
    assert events[0]["signed"]["settings"]["minimum_wbc"] == 100
    (model,) = events[0]["signed"]["models"]
    assert (model["name"], model["threshold"], model["preprocessing"]) == ("test-cnn", 0.5, "crop128-v1")
    assert events[0]["digest"] != events[1]["digest"]


def test_what_ended_a_signature_is_told(lab: Lab, client: TestClient) -> None:
    client.post(SIGN, json=seen(client), headers=ANNA).raise_for_status()
    lab.write("S1", {"late-1.jpg": b"one", "late-2.jpg": b"two"})

    slide = client.get(SLIDE).json()
    assert (slide["signed_by"], slide["changed_since_signed"]) == (None, True)
    (event,) = slide["events"]
    ended = event["ended"]
    assert (ended["images_came"], ended["images_changed"], ended["images_gone"]) == (2, 0, 0)
    assert ended["at"].endswith("Z")
    page = client.get("/slides/1").text
    assert "This signature has ended: 2 files came" in page
    assert "Changed since it was signed: 2 files came" in page


def test_another_try_leaves_signed_slides_alone_unless_a_person_says_why(client: TestClient) -> None:
    client.post(SIGN, json=seen(client), headers=ANNA).raise_for_status()
    left = {"images": 0, "skipped_slides": 1, "skipped_images": 1, "reopened_slides": 0}
    assert client.post("/api/v1/retry", json={}, headers=BERTA).json() == left
    assert client.post("/api/v1/retry", json={"slide_id": 1}, headers=BERTA).json() == left
    assert client.get(SLIDE).json()["status"] == "signed"

    refused = client.post("/api/v1/retry", json={"reopen_reason": " "}, headers=BERTA)
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/review-refused")
    done = client.post("/api/v1/retry", json={"reopen_reason": "the share was not readable"}, headers=BERTA)
    assert done.json() == {"images": 1, "skipped_slides": 0, "skipped_images": 0, "reopened_slides": 1}
    last = client.get(SLIDE).json()["events"][-1]
    assert (last["kind"], last["reviewer"], last["text"]) == ("reopen", "Berta", "the share was not readable")
