"""How the cells of each day looked: what is averaged, over which day, and what is left out."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from smearcount.db.engine.database import Database
from smearcount.db.ingest import journal, results
from smearcount.db.queries.trends import per_day
from smearcount.db.records import Refusal, Refused
from smearcount.db.schema import Classification, Image
from smearcount.differential.classes import CellClass

from support.journalling import MODEL, NEWER_MODEL, begin, classified, new_inbox, seen, take

DAY = datetime(2026, 3, 1, tzinfo=UTC)
EVER = (DAY - timedelta(days=365), DAY + timedelta(days=365))


@pytest.fixture
def inbox(database: Database) -> int:
    """An empty inbox."""
    return new_inbox(database)


def finish(database: Database, inbox: int, path: str, at: datetime, **call: object) -> int:
    """Classify a file at a moment, with a mean colour if one is given; return its id."""
    colour = {name: call.pop(name) for name in ("red", "green", "blue") if name in call}
    journal.record(database, inbox, [seen(path)])
    (item,) = begin(database, take(database, inbox))
    results.store(database, MODEL, "bench", [classified(item.image_id, str(call.pop("content", path)), **call)])  # type: ignore[arg-type]
    with database.writing() as connection:
        connection.execute(update(Image).where(Image.id == item.image_id).values(finished_at=at))
        if colour:
            connection.execute(update(Classification).where(Classification.image_id == item.image_id).values(colour))
    return item.image_id


def test_each_day_has_a_line_of_its_own(database: Database, inbox: int) -> None:
    finish(database, inbox, "S/1.jpg", DAY, confidence=0.5)
    finish(database, inbox, "S/2.jpg", DAY + timedelta(hours=23, minutes=59, seconds=59.999999), confidence=1.0)
    finish(database, inbox, "T/1.jpg", DAY + timedelta(days=2), confidence=0.25, identified=False)

    first, second = per_day(database, *EVER)

    assert (first.day, first.images, first.cells, first.unidentified) == (date(2026, 3, 1), 2, 2, 0)
    assert first.mean_confidence == 0.75
    assert (second.day, second.cells, second.unidentified, second.mean_confidence) == (date(2026, 3, 3), 1, 1, 0.25)
    assert (first.red, first.green, first.blue) == (None, None, None)


def test_the_bounds_are_those_of_the_question(database: Database, inbox: int) -> None:
    finish(database, inbox, "S/1.jpg", DAY)
    finish(database, inbox, "S/2.jpg", DAY + timedelta(days=1))

    assert [line.day for line in per_day(database, DAY, DAY + timedelta(days=1))] == [DAY.date()]
    assert per_day(database, DAY + timedelta(days=2), EVER[1]) == []
    tokyo = (DAY + timedelta(hours=12)).astimezone()
    assert len(per_day(database, tokyo, EVER[1])) == 1


def test_the_colour_is_the_mean_of_those_that_are_known(database: Database, inbox: int) -> None:
    finish(database, inbox, "S/1.jpg", DAY, red=200.0, green=100.0, blue=50.0)
    finish(database, inbox, "S/2.jpg", DAY, red=100.0, green=50.0, blue=150.0)
    finish(database, inbox, "S/3.jpg", DAY)

    (line,) = per_day(database, *EVER)

    assert (line.cells, line.red, line.green, line.blue) == (3, 150.0, 75.0, 100.0)


def test_what_is_no_cell_is_counted_but_not_averaged(database: Database, inbox: int) -> None:
    finish(database, inbox, "S/1.jpg", DAY, confidence=0.75, content="same")
    finish(database, inbox, "S/again.jpg", DAY, confidence=0.1, content="same")
    overwritten = finish(database, inbox, "S/old.jpg", DAY, confidence=0.1)
    journal.record(database, inbox, [seen("S/old.jpg", mtime_ns=2), seen("S/broken.jpg")])
    items = begin(database, take(database, inbox))
    results.store(
        database, MODEL, "bench", [Refused(item.image_id, Refusal("damaged", "damaged")) for item in items[:1]]
    )
    with database.writing() as connection:
        connection.execute(update(Image).where(Image.id == items[0].image_id).values(finished_at=DAY))

    (line,) = per_day(database, *EVER)

    assert overwritten not in {item.image_id for item in items}
    assert (line.images, line.cells, line.quarantined, line.mean_confidence) == (3, 1, 1, 0.75)


def test_only_the_newest_models_call_is_averaged(database: Database, inbox: int) -> None:
    image_id = finish(database, inbox, "S/1.jpg", DAY, confidence=0.25, identified=False)
    finish(database, inbox, "S/2.jpg", DAY, confidence=0.75)
    journal.record(database, inbox, [seen("S/3.jpg")])
    (item,) = begin(database, take(database, inbox))
    results.store(database, NEWER_MODEL, "bench", [classified(item.image_id, "3", CellClass.IG, confidence=0.5)])
    with database.writing() as connection:
        connection.execute(update(Image).where(Image.id == item.image_id).values(finished_at=DAY))
        table = Classification.__table__
        (older,) = connection.execute(select(table).where(Classification.image_id == image_id)).mappings()
        (newer,) = connection.execute(select(table).where(Classification.image_id == item.image_id)).mappings()
        row = {**older, "model_id": newer["model_id"], "confidence": 1.0, "identified": True}
        del row["id"]
        connection.execute(insert(Classification).values(row))

    (line,) = per_day(database, *EVER)

    assert (line.cells, line.unidentified, line.mean_confidence) == (3, 0, 0.75)
