"""Lists and rows in one statement, on SQLite and on PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import Connection, select

from smearcount.db.engine.bulk import insert_missing_rows, update_rows
from smearcount.db.engine.database import Database
from smearcount.db.engine.parameters import in_list
from smearcount.db.errors import DatabaseError
from smearcount.db.schema import Classification, Image, Inbox, Model, Slide

from support.examples import examples
from support.journalling import new_inbox

NOW = datetime(2026, 11, 23, 8, 15, 30, 123456, tzinfo=UTC)
ODD_NAMES = ["", " ", "NULL", "null", "{a,b}", 'a"b', "a'b", "a\\b", "\\u00e9", "é", "🩸", "a\nb", "[1]", "%s", ":ids"]


def slide(inbox_id: int, name: str) -> dict[str, object]:
    return {"inbox_id": inbox_id, "name": name, "first_image_at": NOW, "last_image_at": NOW}


def image(inbox_id: int, filename: str, **more: object) -> dict[str, object]:
    row = {"inbox_id": inbox_id, "folder": "S", "filename": filename, "size": 5_000_000_000, "mtime_ns": 2**62}
    return row | {"state": "pending", "attempts": 0, "seen_at": NOW} | more


def names(connection: Connection, wanted: list[str]) -> set[str]:
    """The names of slides that are among those wanted."""
    return set(connection.execute(select(Slide.name).where(in_list(Slide.name, "names")), {"names": wanted}).scalars())


def test_names_come_back_as_they_went_in_and_are_found(database: Database) -> None:
    inbox_id = new_inbox(database)
    with database.writing() as connection:
        insert_missing_rows(connection, Slide, [slide(inbox_id, name) for name in ODD_NAMES])
        assert names(connection, ODD_NAMES) == set(ODD_NAMES)
        assert [names(connection, [name]) for name in ODD_NAMES] == [{name} for name in ODD_NAMES]
        assert names(connection, []) == set()
        assert names(connection, ["elsewhere"]) == set()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(50))
@given(listed=some.lists(some.integers(-(2**63), 2**63 - 1)), asked=some.integers(1, 4))
def test_a_number_is_among_those_listed_or_not(prepared: Database, listed: list[int], asked: int) -> None:
    query = select(Slide.id).where(Slide.id == asked, in_list(Slide.id, "ids"))
    with prepared.reading() as connection:
        found = connection.execute(query, {"ids": tuple(listed)}).scalars().all()
    assert list(found) == ([asked] if asked in listed else [])


@pytest.fixture
def prepared(database: Database) -> Database:
    """A database with slides 1 to 4."""
    inbox_id = new_inbox(database)
    with database.writing() as connection:
        insert_missing_rows(connection, Slide, [slide(inbox_id, name) for name in "abcd"])
        assert set(connection.execute(select(Slide.id)).scalars()) == {1, 2, 3, 4}
    return database


def test_rows_that_are_there_stay_as_they_are(database: Database) -> None:
    first = {"name": "i", "root": "/first", "arriving": 3}
    with database.writing() as connection:
        insert_missing_rows(connection, Inbox, [])
        insert_missing_rows(connection, Inbox, [first])
        insert_missing_rows(connection, Inbox, [first | {"root": "/second"}, first | {"name": "j"}])
        stored = connection.execute(select(Inbox.name, Inbox.root, Inbox.arriving).order_by(Inbox.id)).all()
    assert [tuple(row) for row in stored] == [("i", "/first", 3), ("j", "/first", 3)]


def test_numbers_moments_lists_and_nothing_keep_their_value(database: Database) -> None:
    inbox_id = new_inbox(database)
    model = {"name": "m", "version": "1", "sha256": "f" * 64, "preprocessing": "p", "threshold": 0.1 + 0.2}
    with database.writing() as connection:
        insert_missing_rows(
            connection, Image, [image(inbox_id, "a", finished_at=NOW), image(inbox_id, "b", finished_at=None)]
        )
        insert_missing_rows(connection, Model, [model])
        call: dict[str, Any] = {"image_id": 1, "model_id": 1, "cell_class": "monocyte", "confidence": 1 / 3}
        call |= {"probabilities": [1 / 3, 1e-300, 0.0], "identified": False, "unlikeness": None, "red": 1.0}
        insert_missing_rows(connection, Classification, [call | {"worker": "ü", "classified_at": NOW}])
        moments = connection.execute(select(Image.finished_at, Image.size, Image.mtime_ns).order_by(Image.id)).all()
        stored = connection.execute(select(Classification.__table__)).mappings().one()
        threshold = connection.execute(select(Model.threshold)).scalar_one()
    assert [tuple(row) for row in moments] == [(NOW, 5_000_000_000, 2**62), (None, 5_000_000_000, 2**62)]
    assert threshold == 0.1 + 0.2
    assert {key: stored[key] for key in call} == call
    assert (stored["worker"], stored["classified_at"], stored["green"]) == ("ü", NOW, None)


def test_a_change_reaches_the_named_rows_and_columns_alone(database: Database) -> None:
    inbox_id = new_inbox(database)
    with database.writing() as connection:
        insert_missing_rows(connection, Image, [image(inbox_id, name, reason="kept") for name in "abc"])
        update_rows(connection, Image, [])
        rows = [
            {"of_id": 3, "state": "done", "finished_at": NOW},
            {"of_id": 1, "state": "duplicate", "finished_at": None},
        ]
        update_rows(connection, Image, [*rows, {"of_id": 99, "state": "done", "finished_at": NOW}])
        columns = select(Image.id, Image.filename, Image.state, Image.finished_at, Image.reason).order_by(Image.id)
        stored = [tuple(row) for row in connection.execute(columns)]
    assert stored == [
        (1, "a", "duplicate", None, "kept"),
        (2, "b", "pending", None, "kept"),
        (3, "c", "done", NOW, "kept"),
    ]


def test_a_text_that_is_too_long_is_refused_and_not_cut_off(postgresql_database: Database) -> None:
    inbox_id = new_inbox(postgresql_database)
    with pytest.raises(DatabaseError, match="too long"), postgresql_database.writing() as connection:
        insert_missing_rows(connection, Image, [image(inbox_id, "a", sha256="f" * 65)])
