"""Exports over HTTP agree with the database, one slide or many."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import hl7
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database

from support.serving import ANNA, Lab, make_lab

ORU = "x-application/hl7-v2+er7; charset=utf-8"


@pytest.fixture
def lab(database: Database, tmp_path: Path) -> Lab:
    return make_lab(database, tmp_path / "inbox")


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    ids = lab.add_slide("S1", unidentified=1)
    lab.add_slide("=S2")
    with lab.client() as client:
        client.post("/api/v1/reviews", json={"changes": [{"cell": ids[0], "class": "ig"}]}, headers=ANNA)
        yield client


def statuses(bundle: dict[str, object]) -> str:
    entries = Bundle.model_validate(bundle).entry or []
    return next(str(one.resource.status) for one in entries if isinstance(one.resource, DiagnosticReport))


def test_a_fhir_report_is_partial_until_signed_and_amended_after_reopening(client: TestClient) -> None:
    def status() -> str:
        answer = client.get("/api/v1/slides/1/export?form=fhir")
        assert answer.headers["content-type"] == "application/fhir+json"
        return statuses(answer.json())

    assert status() == "partial"
    client.post("/api/v1/slides/1/sign-off", json={"seen_review": 1}, headers=ANNA).raise_for_status()
    assert status() == "final"
    client.post("/api/v1/slides/1/reopen", json={"reason": "again"}, headers=ANNA).raise_for_status()
    assert status() == "partial"
    client.post("/api/v1/slides/1/sign-off", json={"seen_review": 1}, headers=ANNA).raise_for_status()
    assert status() == "amended"


def test_json_and_csv_hold_both_counts(client: TestClient) -> None:
    exported = client.get("/api/v1/slides/1/export").json()
    assert (exported["slide"], exported["reviewed_cells"]) == ("S1", 1)
    assert (exported["automatic"]["cells"]["ig"], exported["reviewed"]["cells"]["ig"]) == (0, 1)
    answer = client.get("/api/v1/slides/1/export?form=csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="slide-1.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    counts = {(row["calls"], row["class"]): int(row["count"]) for row in rows}
    for calls in ("automatic", "reviewed"):
        assert {name: count for (by, name), count in counts.items() if by == calls} == exported[calls]["cells"]


def test_hl7_is_one_message_or_one_batch(client: TestClient) -> None:
    answer = client.get("/api/v1/slides/1/export?form=hl7")
    assert answer.headers["content-type"] == ORU
    message = hl7.parse(answer.text)
    assert str(message.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    batch = hl7.parse_batch(client.get("/api/v1/export?slides=1,2&form=hl7").text)
    assert len(batch) == 2


def test_many_slides_come_in_the_order_asked_for(client: TestClient) -> None:
    together = client.get("/api/v1/export?slides=2,1,2").json()
    assert [slide["slide_id"] for slide in together] == [2, 1]
    rows = list(csv.DictReader(io.StringIO(client.get("/api/v1/export?slides=2,1&form=csv").text)))
    assert list(dict.fromkeys(row["slide"] for row in rows)) == ["'=S2", "S1"]
    answer = client.get("/api/v1/export?slides=1,2&form=fhir")
    assert answer.headers["content-type"] == "application/fhir+ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="slides.fhir.ndjson"'
    assert [statuses(json.loads(line)) for line in answer.text.splitlines()] == ["partial"] * 2


@pytest.mark.parametrize(
    ("slides", "status"),
    [("1,99", 404), ("", 422), ("1,", 422), ("a", 422), ("1;2", 422), (",".join(["1"] * 201), 422)],
)
def test_what_is_no_list_of_slides_is_refused(client: TestClient, slides: str, status: int) -> None:
    assert client.get("/api/v1/export", params={"slides": slides}).status_code == status


def test_what_people_wrote_and_excluded_is_in_every_export_and_on_the_report(client: TestClient) -> None:
    text = '<b>=pale|stain</b> & "thick"\nNTE|9|L|signed'
    ids = [cell["id"] for cell in client.get("/api/v1/slides/1/cells").json()["cells"]]
    excluded = {"changes": [{"cell": ids[-1], "class": "unidentified"}], "reason": "only platelets"}
    client.post("/api/v1/reviews", json=excluded, headers=ANNA).raise_for_status()
    client.post("/api/v1/slides/1/comments", json={"text": text}, headers=ANNA).raise_for_status()
    client.post(
        "/api/v1/slides/1/sign-off",
        json={"comment": "seen twice", "seen_digest": client.get("/api/v1/slides/1").json()["digest"]},
        headers=ANNA,
    ).raise_for_status()

    exported = client.get("/api/v1/slides/1/export").json()
    assert [(one["kind"], one["reviewer"], one["text"]) for one in exported["remarks"]] == [
        ("review", "Anna Lab", "only platelets"),
        ("comment", "Anna Lab", text),
        ("sign-off", "Anna Lab", "seen twice"),
    ]
    assert [one["cell"] for one in exported["excluded"]] == [ids[-1]]
    one_line = '<b>=pale|stain</b> & "thick" NTE|9|L|signed'
    many = [f"/api/v1/export?slides=1,2&form={form}" for form in ("csv", "json", "fhir", "hl7")]
    for path in (*many, "/api/v1/slides/1/differential?format=csv"):
        answer = client.get(path).text
        assert answer.count("seen twice") > 0, path
        assert answer.count("only platelets") > 0, path
    rows = list(csv.DictReader(io.StringIO(client.get(many[0]).text)))
    assert {one_line in row["remarks"] for row in rows if row["slide_id"] == "1"} == {True}
    assert {row["remarks"] for row in rows if row["slide_id"] == "2"} == {""}
    bundle = json.loads(client.get("/api/v1/slides/1/export?form=fhir").text)
    assert one_line in bundle["entry"][0]["resource"]["conclusion"]
    message = client.get("/api/v1/slides/1/export?form=hl7").text
    assert '<b>=pale\\F\\stain</b> \\T\\ "thick"\\.br\\NTE\\F\\9\\F\\L\\F\\signed|RE^Remark^HL70364\r' in message
    page = client.get("/slides/1/report").text
    assert "&lt;b&gt;=pale|stain&lt;/b&gt; &amp; &#34;thick&#34; NTE|9|L|signed" in page
    assert "<b>=pale" not in page
    assert f"called unidentified by a person: cell {ids[-1]}" in page
