"""What the API says of slides and cells, asked as a program asks it."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry
from smearcount.differential.classes import CellClass
from smearcount.differential.schema import counts_schema

from support.serving import ANNA, MIXED, Lab, make_lab


@pytest.fixture
def lab(database: Database, tmp_path: Path) -> Lab:
    return make_lab(database, tmp_path / "inbox")


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    with lab.client() as client:
        yield client


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def pages(client: TestClient, path: str, what: str) -> list[list[dict[str, Any]]]:
    """Follow the header Link to the end."""
    found = []
    url: str | None = path
    while url is not None:
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()[what])
        link = answer.headers.get("link")
        assert (link is None) == (answer.json()["next"] is None)
        url = link.partition(">")[0].lstrip("<") if link else None
    return found


def test_slides_come_page_by_page_newest_first(lab: Lab, client: TestClient) -> None:
    names = [f"S{number}" for number in range(7)]
    for name in names:
        lab.add_slide(name)
    found = pages(client, "/api/v1/slides?limit=3", "slides")
    assert [len(page) for page in found] == [3, 3, 1]
    assert [slide["slide"] for page in found for slide in page] == names[::-1]
    by_name = pages(client, "/api/v1/slides?limit=4&sort=name", "slides")
    assert [slide["slide"] for page in by_name for slide in page] == names


def test_a_slide_tells_its_reviewed_numbers(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1", unidentified=2, damaged=1)
    (slide,) = client.get("/api/v1/slides").json()["slides"]
    assert slide["slide"] == "S1"
    assert (slide["status"], slide["images"], slide["wbc_counted"]) == ("complete", 15, 10)
    assert (slide["unidentified"], slide["quarantined"], slide["platelets"]) == (2, 1, 1)
    assert slide["percents"]["neutrophil"] == 60.0
    assert slide["cells"]["lymphocyte"] == 3
    assert slide["nrbc_per_100_wbc"] == 10.0
    assert (slide["calls"], slide["reviewed_cells"]) == ("automatic", 0)
    assert {flag["code"] for flag in slide["flags"]} >= {"few-wbc", "quarantined", "unidentified", "nrbc-correction"}
    assert {reason["code"]: reason["message"] for reason in slide["review_reasons"]} == {
        "few-wbc": "10 WBC counted, fewer than 100",
        "nrbc": "1 nRBC seen",
        "unidentified": "14.3 % of the cells unidentified (2 of 14), more than 10 %",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=complete", ["Bravo", "alpha"]),
        ("status=counting", ["Charlie"]),
        ("status=signed", []),
        ("flag=quarantined", ["Bravo"]),
        ("flag=borderline:neutrophil", ["Charlie"]),
        ("flag=low:neutrophil", []),
        ("review=any", ["Bravo", "alpha"]),
        ("review=nrbc", ["Bravo", "alpha"]),
        ("review=nrbc&flag=quarantined", ["Bravo"]),
        ("review=ig", []),
        ("flag=quarantined&limit=1", ["Bravo"]),
        ("text=ALP", ["alpha"]),
        ("text=%25", []),
        ("since=2000-01-01", ["Charlie", "Bravo", "alpha"]),
        ("until=2000-01-01", []),
        ("since=9999-12-31", []),
        ("until=9999-12-31", ["Charlie", "Bravo", "alpha"]),
        ("inbox=elsewhere", []),
    ],
)
def test_slides_are_filtered(lab: Lab, client: TestClient, query: str, expected: list[str]) -> None:
    lab.add_slide("alpha")
    lab.add_slide("Bravo", damaged=1)
    lab.add_slide("Charlie", [CellClass.LYMPHOCYTE] * 3, is_complete=False)
    assert [slide["slide"] for page in pages(client, f"/api/v1/slides?{query}", "slides") for slide in page] == expected


def test_a_rare_flag_is_found_behind_many_pages(lab: Lab, client: TestClient) -> None:
    lab.add_slide("rare", [CellClass.BASOPHIL] * 2)
    for number in range(6):
        lab.add_slide(f"S{number}", [CellClass.NEUTROPHIL])
    found = pages(client, "/api/v1/slides?flag=borderline:basophil&limit=2", "slides")
    assert [slide["slide"] for page in found for slide in page] == ["rare"]


def test_the_list_is_also_a_table(lab: Lab, client: TestClient) -> None:
    lab.add_slide("=1+1", unidentified=1)
    lab.add_slide("S2")
    answer = client.get("/api/v1/slides?format=csv&limit=1&sort=name")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="slides.csv"'
    (row,) = table(answer.text)
    # What a spreadsheet would run is text in it.
    assert (row["slide"], row["wbc_counted"], row["neutrophil_percent"]) == ("'=1+1", "10", "60.0")
    assert (row["reviewed_cells"], row["calls"]) == ("0", "automatic")
    assert row["review_reasons"] == "few-wbc nrbc"
    following = table(client.get(answer.headers["link"].partition(">")[0].lstrip("<")).text)
    assert [row["slide"] for row in following] == ["S2"]


def test_one_slide_holds_both_differentials(lab: Lab, client: TestClient) -> None:
    ids = lab.add_slide("S1", unidentified=1)
    change = {"changes": [{"cell": ids[0], "class": "ig"}, {"cell": ids[-1], "class": "monocyte"}]}
    client.post("/api/v1/reviews", json=change, headers=ANNA).raise_for_status()
    slide = client.get("/api/v1/slides/1").json()
    both = slide["differential"]
    for calls in ("automatic", "reviewed"):
        jsonschema.validate(both[calls], counts_schema())
        assert both[calls]["calls"] == calls
    assert both["automatic"]["cells"]["neutrophil"] == 6
    assert both["reviewed"]["cells"]["neutrophil"] == 5
    assert both["reviewed"]["wbc_counted"] == both["automatic"]["wbc_counted"] + 1
    assert both["changed"] == ["ig", "monocyte", "neutrophil"]
    assert slide["reviewed_cells"] == both["reviewed_cells"] == 2
    assert slide["calls"] == "reviewed"
    assert client.get("/api/v1/slides/1/differential").json() == both
    rows = table(client.get("/api/v1/slides/1/differential?format=csv").text)
    counts = {(row["calls"], row["class"]): row["count"] for row in rows}
    assert (counts["automatic", "ig"], counts["reviewed", "ig"]) == ("0", "1")


def test_cells_come_by_class_least_certain_first(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1", unidentified=2, damaged=1)
    found = pages(client, "/api/v1/slides/1/cells?limit=4", "cells")
    cells = [cell for page in found for cell in page]
    assert len(cells) == len(MIXED) + 3
    classes = [cell["class"] for cell in cells]
    assert classes[:2] == ["unidentified"] * 2
    assert classes[2:8] == ["neutrophil"] * 6
    assert classes[-1] is None
    confidences = [cell["automatic"]["confidence"] for cell in cells[2:8]]
    assert confidences == sorted(confidences)
    assert cells[-1]["reason_code"] == "damaged"
    assert sum(cells[0]["automatic"]["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("class=lymphocyte", 3),
        ("class=unidentified", 2),
        ("state=quarantined", 1),
        ("state=quarantined&state=done", 15),
        ("state=superseded", 0),
        ("below=0.5", 2),
        ("below=0.985", 8),
        ("reviewed=true", 1),
    ],
)
def test_cells_are_filtered(lab: Lab, client: TestClient, query: str, number: int) -> None:
    ids = lab.add_slide("S1", unidentified=2, damaged=1)
    client.post("/api/v1/reviews", json={"changes": [{"cell": ids[1], "class": "neutrophil"}]}, headers=ANNA)
    assert len(client.get(f"/api/v1/slides/1/cells?{query}").json()["cells"]) == number


def test_cells_are_also_a_table(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1", damaged=1)
    rows = table(client.get("/api/v1/slides/1/cells?format=csv").text)
    assert len(rows) == len(MIXED) + 1
    assert all(row["path"].startswith("S1/") for row in rows)
    assert rows[-1]["state"] == "quarantined"
    assert (rows[-1]["automatic_class"], rows[-1]["probability_ig"], rows[-1]["model_sha256"]) == ("", "", "")
    assert float(rows[0]["confidence"]) == float(rows[0][f"probability_{rows[0]['automatic_class']}"])


def test_one_cell_and_its_history(lab: Lab, client: TestClient) -> None:
    ids = lab.add_slide("S1")
    cell = client.get(f"/api/v1/cells/{ids[0]}").json()
    assert (cell["class"], cell["automatic"]["class"], cell["review_id"]) == ("neutrophil", "neutrophil", None)
    assert cell["path"] == "S1/cell-0000.jpg"
    change = {"changes": [{"cell": ids[0], "class": "ig"}], "reason": "band"}
    client.post("/api/v1/reviews", json=change, headers=ANNA)
    cell = client.get(f"/api/v1/cells/{ids[0]}").json()
    assert (cell["class"], cell["automatic"]["class"]) == ("ig", "neutrophil")
    (review,) = client.get(f"/api/v1/cells/{ids[0]}/history").json()["reviews"]
    assert (review["reviewer"], review["was"], review["became"], review["reason"]) == (
        "Anna Lab",
        "neutrophil",
        "ig",
        "band",
    )
    assert review["id"] == cell["review_id"]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/api/v1/slides/99", 404, "/problems/unknown-slide"),
        ("/api/v1/slides/99/cells", 404, "/problems/unknown-slide"),
        ("/api/v1/slides/99/differential", 404, "/problems/unknown-slide"),
        ("/api/v1/slides/99/differential?format=csv", 404, "/problems/unknown-slide"),
        ("/api/v1/slides/99/export", 404, "/problems/unknown-slide"),
        ("/api/v1/cells/99", 404, "/problems/unknown-cell"),
        ("/api/v1/cells/99/history", 404, "/problems/unknown-cell"),
        ("/api/v1/cells/99/image", 404, "/problems/unknown-cell"),
        ("/api/v1/cells/99/thumbnail", 404, "/problems/unknown-cell"),
        ("/api/v1/slides?after=abc", 404, "/problems/unknown-page"),
        ("/api/v1/slides?limit=201", 422, "/problems/invalid"),
        ("/api/v1/slides?limit=0", 422, "/problems/invalid"),
        ("/api/v1/slides?flag=none", 422, "/problems/invalid"),
        ("/api/v1/slides?review=none", 422, "/problems/invalid"),
        ("/api/v1/slides?since=7", 422, "/problems/invalid"),
        ("/api/v1/slides?staus=signed", 422, "/problems/invalid"),
        ("/api/v1/slides/0", 422, "/problems/invalid"),
        ("/api/v1/slides/../../etc/passwd", 404, "about:blank"),
        ("/nowhere", 404, "about:blank"),
    ],
)
def test_whatever_goes_wrong_is_a_problem(client: TestClient, path: str, status: int, kind: str) -> None:
    answer = client.get(path)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["type"]) == (status, status, kind)
    if kind.startswith("/problems/"):
        assert client.get(kind).json()["title"] == problem["title"]


def test_a_problem_repeats_nothing_that_was_sent(client: TestClient) -> None:
    answer = client.get("/api/v1/slides?status=Doe-Jane-1950&limit=Doe")
    assert answer.status_code == 422
    assert "Doe" not in answer.text
    assert {error["where"] for error in answer.json()["errors"]} == {"query.status", "query.limit"}


def test_a_method_that_a_path_does_not_know_names_those_it_does(client: TestClient) -> None:
    answer = client.put("/api/v1/session")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, HEAD, POST"
    assert answer.json()["status"] == 405


def test_no_query_runs_per_slide_or_cell(lab: Lab, client: TestClient) -> None:
    statements: list[str] = []
    event.listen(lab.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    def queries(path: str) -> int:
        statements.clear()
        assert client.get(path).status_code == 200
        return len(statements)

    paths = (
        "/api/v1/slides",
        "/api/v1/slides?format=csv",
        "/api/v1/slides/1/cells",
        "/api/v1/export?slides={}",
        "/api/v1/quarantined",
    )
    lab.add_slide("first", damaged=1)
    few = [queries(path.format("1")) for path in paths]
    for number in range(12):
        lab.add_slide(f"S{number}", damaged=1)
    lab.add_slide("first", [CellClass.MONOCYTE] * 30)
    assert [queries(path.format(",".join(map(str, range(1, 14))))) for path in paths] == few


def test_a_file_that_was_quarantined_is_listed_and_tried_again(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1", damaged=2)
    lab.add_slide("S2", damaged=1)
    files = [file for page in pages(client, "/api/v1/quarantined?limit=2", "files") for file in page]
    assert [file["slide"] for file in files] == ["S2", "S1", "S1"]
    assert {file["reason_code"] for file in files} == {"damaged"}
    assert len(table(client.get("/api/v1/quarantined?format=csv").text)) == 3
    first = next(slide for slide in client.get("/api/v1/slides").json()["slides"] if slide["slide"] == "S1")
    assert client.post("/api/v1/retry", json={"slide_id": first["id"]}, headers=ANNA).json()["images"] == 2
    assert client.post("/api/v1/retry", json={}, headers=ANNA).json()["images"] == 1
    assert client.get("/api/v1/quarantined").json() == {"files": [], "next": None}


def test_trends_show_the_day_beside_the_training_data(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1", unidentified=2, damaged=1)
    trends = client.get("/api/v1/trends").json()
    (day,) = trends["days"]
    assert (day["images"], day["cells"], day["unidentified"], day["quarantined"]) == (15, 14, 2, 1)
    assert 0 < day["mean_confidence"] < 1
    assert trends["training_colour"] == {"mean": [180.0, 150.0, 170.0], "spread": [12.0, 14.0, 9.0]}
    (row,) = table(client.get("/api/v1/trends?format=csv&days=3").text)
    assert (row["day"], row["cells"], row["red"]) == (day["day"], "14", "")
    assert (day["calls"], row["calls"]) == ("automatic", "automatic")
    assert client.get("/api/v1/trends?until=2000-01-01").json()["days"] == []


def test_the_system_tells_what_status_tells(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1", damaged=1)
    system = client.get("/api/v1/system").json()
    (inbox,) = system["inboxes"]
    assert (inbox["done"], inbox["quarantined"], inbox["slides"], inbox["slides_complete"]) == (len(MIXED), 1, 1, 1)
    assert inbox["watcher_lives"] is False
    assert system["queue"] == {"waiting": 3, "held": 1}
    assert system["model"]["name"] == "test-cnn"
    checks = client.post("/api/v1/system/checks").json()
    assert checks["checks"] == [{"what": "database", "state": "well", "details": "answers"}]


def test_the_system_tells_how_many_files_were_ignored(lab: Lab, client: TestClient) -> None:
    (inbox,) = client.get("/api/v1/system").json()["inboxes"]
    assert (inbox["ignored"], inbox["ignored_kinds"]) == (None, {}), "nothing was scanned yet"

    ignored = {".webp": 1400, ".xml": 12}
    inbox_registry.note_watch(lab.database, lab.inbox_id, arriving=0, is_whole_scan=True, ignored=ignored)
    inbox_registry.note_watch(lab.database, lab.inbox_id, arriving=0, is_whole_scan=False, ignored={})

    (inbox,) = client.get("/api/v1/system").json()["inboxes"]
    assert (inbox["ignored"], inbox["ignored_kinds"]) == (1412, ignored)
    assert list(inbox["ignored_kinds"]) == list(ignored), "the most frequent first"
