"""What a person did is on disk before it is answered; what the next scan finds again need not be."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.schema import SlideEventRow

from support.backing import url_of
from support.syncing import syncs
from support.waiting import PATIENCE

TESTS = Path(__file__).parents[3]

_LABORATORY = """
import os, sys
from pathlib import Path
from smearcount.db.engine.database import Database
from support.serving import ANNA, make_lab

def come_to(place):
    with open(os.environ["SYNCS"], "a") as notes:
        notes.write(f"= {place}\\n")

with Database(sys.argv[1]) as database:
    lab = make_lab(database, Path(sys.argv[2]))
    ids = lab.add_slide("S1", damaged=1)
    with lab.client() as client:
        def post(path, body=None):
            come_to("ready")
            answer = client.post(f"/api/v1/{path}", json=body, headers=ANNA)
            come_to(f"{path.rpartition('/')[2]} {answer.status_code}")
            return answer.json()

        for cell in ids[:5]:
            post("reviews", {"changes": [{"cell": cell, "class": "ig"}]})
        for _ in range(3):
            post("slides/1/undo")
        for number in range(4):
            post("slides/1/comments", {"text": f"comment {number}"})
        seen = client.get("/api/v1/slides/1", headers=ANNA).json()["digest"]
        post("slides/1/sign-off", {"seen_digest": seen})
        post("slides/1/reopen", {"reason": "look again"})
        post("retry", {"slide_id": 1})
        come_to("ready")
        for number in range(2, 10):
            lab.add_slide(f"S{number}", is_complete=False)
        come_to("counted")
"""


@pytest.mark.skipif(syncs.why_unavailable() is not None, reason=str(syncs.why_unavailable()))
def test_each_answer_to_a_person_waits_for_the_disk(sqlite_url: str, tmp_path: Path) -> None:
    notes = tmp_path / "syncs"
    environment = syncs.environment(tmp_path, notes) | {"PYTHONPATH": str(TESTS)}

    done = subprocess.run(
        [sys.executable, "-c", _LABORATORY, sqlite_url, str(tmp_path / "inbox")],
        env=environment, check=False, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    log = sqlite_url.removeprefix("sqlite:///") + "-wal"
    places = [(place, synced.count(log)) for place, synced in syncs.between_places(notes) if place != "ready"]
    answered = ["reviews 201"] * 5 + ["undo 201"] * 3 + ["comments 201"] * 4
    assert [place for place, _ in places] == [*answered, "sign-off 201", "reopen 201", "retry 200", "counted"]
    assert all(times > 0 for _, times in places[:-1]), places
    # Thirty transactions of watchers and workers, on connections that people's have been on before: the log alone is
    # synced where it begins anew.
    assert places[-1][1] <= 2, "the speed of counting"


def test_a_connection_keeps_no_others_level(sqlite_database: Database) -> None:
    found = []
    for durable in (False, True, False, True):
        with sqlite_database.writing(durable=durable) as connection:
            found.append(connection.execute(text("PRAGMA synchronous")).scalar_one())
    assert found == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("of_the_site", "for_people"),
    [("off", "on"), ("local", "local"), ("on", "on"), ("remote_apply", "remote_apply")],
)
def test_a_postgresql_that_answers_too_early_waits_for_the_disk(
    postgresql_database: Database, of_the_site: str, for_people: str
) -> None:
    name = postgresql_database.url.database
    with postgresql_database.writing() as connection:
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = {of_the_site}'))
    with Database(url_of(postgresql_database)) as opened:
        found = []
        for durable in (False, True, False):
            with opened.writing(durable=durable) as connection:
                found.append(connection.execute(text("SHOW synchronous_commit")).scalar_one())
                assert connection.execute(text("SHOW enable_seqscan")).scalar_one() == "off"
    assert found == [of_the_site, for_people, of_the_site]


def test_what_a_person_did_is_stored_in_no_other_transaction(database: Database) -> None:
    with database.writing() as connection, pytest.raises(RuntimeError, match="durable"):
        append(connection, SlideEventRow, [{"slide_id": 1}])
