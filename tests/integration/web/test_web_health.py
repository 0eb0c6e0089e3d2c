"""What monitoring asks: health, readiness and metrics."""

from collections.abc import Sized
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from smearcount.db.engine.database import Database
from smearcount.db.ingest import results
from smearcount.db.records import TimeSpent

from support.journalling import MODEL
from support.serving import MIXED, make_lab


def values(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a scrape by name and the labels' values, in the order of the labels."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_what_is_there_and_name_nothing(database: Database, tmp_path: Path) -> None:
    lab = make_lab(database, tmp_path / "Doe-inbox")
    lab.add_slide("Doe, Jane", unidentified=1, damaged=2)
    lab.write("Doe, John", {"Doe.jpg": b"\xff\xd8\xff"})
    for _ in range(2):
        results.store(database, MODEL, "bench", [], TimeSpent(32, 0.125, 0.75, 1.5))
    with lab.client() as client:
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "Doe" not in answer.text
    found = values(answer.text)
    assert found["smearcount_images", "done"] == len(MIXED) + 1
    assert found["smearcount_images", "quarantined"] == 2
    assert found["smearcount_images", "pending"] == 1
    assert found["smearcount_slides", "complete"] == 1
    assert found["smearcount_slides", "counting"] == 1
    assert found["smearcount_oldest_pending_seconds",] >= 0
    assert found["smearcount_queue_messages", "waiting"] == 3
    assert found["smearcount_classifications_total", "test-cnn", "a" * 12, "1.0.0"] == len(MIXED) + 1
    assert found["smearcount_worked_images_total",] == 64
    assert found["smearcount_worked_seconds_total", "reading"] == 0.25
    assert found["smearcount_worked_seconds_total", "decoding"] == 1.5
    assert found["smearcount_worked_seconds_total", "network"] == 3
    assert found["smearcount_database_up",] == found["smearcount_broker_up",] == 1
    assert found["process_resident_memory_bytes",] > 0


def _kept_statements(database: Database) -> int:
    """Return how many statements SQLAlchemy keeps: 16 kB each, and five hundred before it lets go of any."""
    kept: Sized | None = database.engine._compiled_cache
    assert kept is not None
    return len(kept)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/slides/1",
        "/trends",
        "/system",
        "/system/checks",
        "/metrics",
        "/readyz",
        "/api/v1/slides?limit=50",
        "/api/v1/slides/1/differential",
        "/api/v1/slides/1/cells?limit=10",
        "/api/v1/cells/1/image",
    ],
)
def test_asking_again_leaves_no_statements_behind(database: Database, tmp_path: Path, path: str) -> None:
    lab = make_lab(database, tmp_path / "inbox")
    lab.add_slide("S-1", unidentified=1, damaged=1)
    with lab.client() as client:
        for _ in range(5):
            assert client.get(path).status_code == 200
        kept = _kept_statements(database)
        for _ in range(20):
            client.get(path)
        assert 0 < _kept_statements(database) < kept + 5


def test_a_server_without_its_database_lives_but_is_not_ready(sqlite_database: Database, tmp_path: Path) -> None:
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    with lab.client() as client:
        assert client.get("/readyz").json() == {"status": "ok"}
        file = sqlite_database.file
        assert file is not None
        sqlite_database.close()
        for one in file.parent.glob(f"{file.name}*"):
            one.unlink()
        assert client.get("/healthz").json() == {"status": "ok"}
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-ready")
        assert str(file) not in answer.text
        assert client.get("/api/v1/slides").status_code == 500
        assert str(file) not in client.get("/api/v1/slides").text
        assert values(client.get("/metrics").text)["smearcount_database_up",] == 0
