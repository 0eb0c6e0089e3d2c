"""The balance of a soak finds every image that is lost, counted twice or called differently."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import insert

from smearcount.db.engine.database import Database
from smearcount.db.schema import Classification, Image, Inbox, Model, Slide

from faults.soak import balance, load, run
from faults.soak.__main__ import parser
from faults.stage import Wiring
from support.network.hosts import why_unavailable
from support.servers import PostgresqlServer

_AT = datetime(2026, 3, 1, tzinfo=UTC)
_A, _B = "a" * 64, "b" * 64
_CALLS = {_A: ("neutrophil", True), _B: ("monocyte", False)}


def fill(database: Database, images: list[tuple[str, str]], calls: list[tuple[int, str, bool, int]]) -> None:
    """Write images (content, state), each on a slide of its own, and what a model of a number said of them."""
    with database.writing() as connection:
        connection.execute(insert(Inbox).values(id=1, name="inbox", root="/inbox"))
        for model in (1, 2):
            connection.execute(
                insert(Model).values(id=model, name="m", version=f"{model}", sha256="0" * 64, preprocessing="p", threshold=model)
            )  # fmt: skip
        for number, (content, state) in enumerate(images, start=1):
            connection.execute(
                insert(Slide).values(id=number, inbox_id=1, name=f"{number}", first_image_at=_AT, last_image_at=_AT)
            )
            connection.execute(
                insert(Image).values(id=number, inbox_id=1, slide_id=number, folder=f"{number}", filename="x.jpg", size=9,
                                     mtime_ns=1, state=state, seen_at=_AT, sha256=content)
            )  # fmt: skip
        for image, cell_class, identified, model in calls:
            connection.execute(
                insert(Classification).values(
                    image_id=image, model_id=model, cell_class=cell_class, confidence=0.9, probabilities=[],
                    identified=identified, worker="w", classified_at=_AT,
                )
            )  # fmt: skip


def balanced(database: Database, url: str, sent: Counter[str]) -> balance.Balance:
    database.engine.dispose()
    return balance.balance(url, sent, _CALLS)


def test_what_was_sent_and_counted_balances(postgresql_database: Database, postgresql_url: str) -> None:
    fill(
        postgresql_database,
        [(_A, "done"), (_A, "done"), (_B, "done")],
        [(1, "neutrophil", True, 1), (2, "neutrophil", True, 1), (3, "monocyte", False, 1)],
    )
    found = balanced(postgresql_database, postgresql_url, Counter({_A: 2, _B: 1}))
    assert found == balance.Balance(counted=3, lost=0, twice=0, called_otherwise=0)


def test_an_image_that_is_not_counted_is_lost(postgresql_database: Database, postgresql_url: str) -> None:
    fill(postgresql_database, [(_A, "done"), (_B, "quarantined")], [(1, "neutrophil", True, 1)])
    found = balanced(postgresql_database, postgresql_url, Counter({_A: 1, _B: 2}))
    assert found == balance.Balance(counted=1, lost=2, twice=0, called_otherwise=0)


def test_an_image_with_two_results_and_a_file_nobody_dropped_count_twice(
    postgresql_database: Database, postgresql_url: str
) -> None:
    fill(
        postgresql_database,
        [(_A, "done"), (_A, "done")],
        [(1, "neutrophil", True, 1), (1, "neutrophil", True, 2), (2, "neutrophil", True, 1)],
    )
    found = balanced(postgresql_database, postgresql_url, Counter({_A: 1}))
    assert found == balance.Balance(counted=2, lost=0, twice=2, called_otherwise=0)


@pytest.mark.parametrize("call", [("lymphocyte", True), ("neutrophil", False)])
def test_another_call_than_undisturbed_is_found(
    postgresql_database: Database, postgresql_url: str, call: tuple[str, bool]
) -> None:
    fill(postgresql_database, [(_A, "done")], [(1, *call, 1)])
    assert balanced(postgresql_database, postgresql_url, Counter({_A: 1})).called_otherwise == 1


def test_no_slide_gets_the_same_cell_twice(tmp_path: Path) -> None:
    originals = load.make_originals(tmp_path / "originals", 450, seed=1)
    assert len({path.read_bytes() for path in originals}) == 450
    (tmp_path / "inbox").mkdir()
    for number in range(900):
        load.drop(originals, tmp_path / "inbox" / "soak", number)
    slides = sorted((tmp_path / "inbox").iterdir())
    assert [len(list(slide.iterdir())) for slide in slides] == [400, 400, 100]
    for slide in slides:
        contents = [file.stat().st_ino for file in slide.iterdir()]
        assert len(set(contents)) == len(contents)


def test_a_short_soak_loses_nothing_and_looks_at_every_process(
    tmp_path: Path, own_postgresql: PostgresqlServer
) -> None:
    own_postgresql.remove()  # skips the test if PostgreSQL is missing; the soak starts its own
    options = parser().parse_args(
        [
            "--minutes",
            "0.25",
            "--pause",
            "4",
            "--cells",
            "400",
            "--rate",
            "30",
            "--samples",
            str(tmp_path / "samples.csv"),
        ]
    )
    found = run.soak(tmp_path, options, Console(stderr=True))
    assert (found.counted, found.lost, found.twice, found.called_otherwise) == (found.sent, 0, 0, 0)
    assert found.sent > 400
    assert found.injected
    assert found.troubles == []
    roles = {"classifying", "postgresql", "postgresql: connection", "valkey", "watcher", "web", "worker"}
    assert {one.role for one in found.steadiness} == roles
    assert all(one.own > 0.1 and one.handles > 3 and one.zombies == 0 for one in found.steadiness)
    assert found.answers["200"] > 10
    assert found.has_hosts == (Wiring(hosts=True).lacks() is None) == (why_unavailable() is None)
