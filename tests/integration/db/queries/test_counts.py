"""What people ask: tallies, the views they query with SQL, where the images are."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.ingest import completion, journal, results
from smearcount.db.queries import counts
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.inboxes import progress
from smearcount.db.records import Classified, Refusal, Refused
from smearcount.db.schema import ImageState
from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.report import SlideReport, report
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus

from support.journalling import MODEL, NEWER_MODEL, begin, classified, count_cells, new_inbox, seen, take


def cells_of(slide: str, numbers: Mapping[CellClass, int]) -> list[tuple[str, str, CellClass, bool]]:
    """Files of a slide with so many identified cells of each class."""
    return [
        (f"{slide}/{cell_class}-{i}.jpg", f"{slide} {cell_class} {i}", cell_class, True)
        for cell_class, number in numbers.items()
        for i in range(number)
    ]


@pytest.fixture
def eventful(database: Database) -> Database:
    """A database with everything in it that must not disturb a count."""
    inbox = new_inbox(database, "/ward")
    count_cells(
        database,
        inbox,
        [
            *cells_of(
                "S-1",
                {
                    CellClass.NEUTROPHIL: 37, CellClass.LYMPHOCYTE: 11, CellClass.MONOCYTE: 7, CellClass.EOSINOPHIL: 3,
                    CellClass.IG: 1, CellClass.ERYTHROBLAST: 13, CellClass.PLATELET: 9,
                },
            ),
            ("S-1/unsure-1.jpg", "u1", CellClass.BASOPHIL, False),
            ("S-1/unsure-2.jpg", "u2", CellClass.PLATELET, False),
            ("S-1/unsure-3.jpg", "u3", CellClass.ERYTHROBLAST, False),
            ("S-1/again-1.jpg", "S-1 neutrophil 0", CellClass.NEUTROPHIL, True),
            ("S-1/again-2.jpg", "S-1 neutrophil 0", CellClass.NEUTROPHIL, True),
            ("S-1/overwritten.jpg", "before", CellClass.LYMPHOCYTE, True),
            *cells_of("only platelets", {CellClass.PLATELET: 2, CellClass.ERYTHROBLAST: 1}),
            *cells_of("newer model", {CellClass.NEUTROPHIL: 2}),
            ("all unsure/1.jpg", "u", CellClass.MONOCYTE, False),
        ],
    )  # fmt: skip
    # Overwritten, and then broken.
    journal.record(database, inbox, [seen("S-1/overwritten.jpg", size=5)])
    (item,) = begin(database, take(database, inbox))
    results.store(database, MODEL, "bench", [Refused(item.image_id, Refusal("not-an-image", "no JPEG"))])
    # Some counted by a newer model.
    count_cells(
        database,
        inbox,
        [(f"newer model/new-{i}.jpg", f"new {i}", CellClass.BASOPHIL, True) for i in range(3)],
        model=NEWER_MODEL,
    )
    _classify_again(database, inbox)
    completion.complete_slides(database, inbox, quiet=timedelta(0))
    # Still to come.
    journal.record(database, inbox, [seen("S-1/late.jpg"), seen("S-1/later.jpg"), seen("not begun/1.jpg")])
    journal.record(database, inbox, [seen("S-1/empty.jpg", size=0, refusal=Refusal("empty", "empty"))])
    take(database, inbox, at_most=1)
    # Another inbox with a slide of the same name.
    count_cells(database, new_inbox(database, "/clinic"), cells_of("S-1", {CellClass.BASOPHIL: 4}))
    return database


def _classify_again(database: Database, inbox: int) -> None:
    """Add what the newer model says of one image that the older had called a neutrophil: rows are only added."""
    with database.writing() as connection:
        model_id = connection.execute(text("SELECT MAX(id) FROM models")).scalar_one()
        image_id = connection.execute(
            text(
                "SELECT id FROM images WHERE inbox_id = :inbox AND filename = 'neutrophil-0.jpg' AND folder = :folder"
            ),
            {"inbox": inbox, "folder": "newer model"},
        ).scalar_one()
        connection.execute(
            text(
                "INSERT INTO classifications (image_id, model_id, cell_class, confidence, probabilities, identified,"
                " worker, classified_at) SELECT image_id, :model, 'ig', 0.8, probabilities, identified, worker,"
                " classified_at FROM classifications WHERE image_id = :image"
            ),
            {"model": model_id, "image": image_id},
        )


def reports(database: Database) -> dict[tuple[str, str], SlideReport]:
    """Report of every slide, by inbox and name."""
    return {
        (line.inbox, line.tally.slide): report(line.tally, CountSettings()) for line in counts.slide_tallies(database)
    }


def rows(database: Database, query: str) -> list[dict[str, Any]]:
    """Rows of a query as a person would write it."""
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def test_the_tally_counts_each_image_once_and_in_its_place(eventful: Database) -> None:
    tally = counts.slide_tally(eventful, "S-1", inbox="/ward")

    assert tally.cells == {
        CellClass.NEUTROPHIL: 37, CellClass.LYMPHOCYTE: 11, CellClass.MONOCYTE: 7, CellClass.EOSINOPHIL: 3,
        CellClass.BASOPHIL: 0, CellClass.IG: 1, CellClass.ERYTHROBLAST: 13, CellClass.PLATELET: 9,
    }  # fmt: skip
    assert (tally.unidentified, tally.duplicates, tally.quarantined, tally.pending) == (3, 2, 2, 2)
    assert (tally.wbc_counted, tally.status) == (59, SlideStatus.COUNTING)
    assert tally.images == len(image_lines(eventful, slide="S-1", inbox="/ward"))


def test_the_newest_models_call_counts_and_all_models_are_named(eventful: Database) -> None:
    tally = counts.slide_tally(eventful, "newer model")

    assert {name: count for name, count in tally.cells.items() if count} == {
        CellClass.NEUTROPHIL: 1, CellClass.IG: 1, CellClass.BASOPHIL: 3,
    }  # fmt: skip
    assert [model.version for model in tally.models] == ["2.0", "1.0"]
    assert tally.status is SlideStatus.COMPLETE


def test_the_differential_view_gives_the_very_numbers_of_the_report(eventful: Database) -> None:
    found = rows(eventful, "SELECT inbox, slide, class, count, percent FROM slide_differential")

    expected = {}
    for (inbox, slide), result in reports(eventful).items():
        percent = {row.cell_class: row.percent for row in result.differential}
        for cell_class, count in result.cells.items():
            expected[inbox, slide, cell_class.value] = (count, percent.get(cell_class))
    assert {(row["inbox"], row["slide"], row["class"]): (row["count"], row["percent"]) for row in found} == expected
    assert len(found) == len(expected)
    assert {type(row["count"]) for row in found} == {int}
    assert {type(row["percent"]) for row in found} == {float, type(None)}


def test_the_summary_view_gives_the_very_numbers_of_the_report(eventful: Database) -> None:
    found = rows(eventful, "SELECT * FROM slide_summary")

    assert len(found) == len(reports(eventful)) == 6
    for row in found:
        result = reports(eventful)[row["inbox"], row["slide"]]
        for name in (
            "status", "wbc_counted", "nrbc_per_100_wbc", "platelets", "unidentified", "pending", "quarantined",
            "duplicates",
        ):  # fmt: skip
            assert row[name] == getattr(result, name), (row["slide"], name)
        model = result.model
        assert (row["model_name"], row["model_version"], row["model_sha256"]) == (
            (model.name, model.version, model.sha256) if model else (None, None, None)
        )
        assert (row["completed_at"] is None) == (result.completed_at is None)


def test_percentages_are_equal_to_the_last_bit_whatever_the_denominator(database: Database) -> None:
    inbox = new_inbox(database)
    for wbc in (1, 3, 7, 49, 57):
        numbers = dict.fromkeys(WBC_CLASSES, 0) | {
            CellClass.NEUTROPHIL: wbc - wbc // 3, CellClass.MONOCYTE: wbc // 3, CellClass.ERYTHROBLAST: wbc // 2,
        }  # fmt: skip
        count_cells(database, inbox, cells_of(f"S-{wbc}", numbers))

    for row in rows(database, "SELECT slide, class, percent FROM slide_differential WHERE percent IS NOT NULL"):
        result = report(counts.slide_tally(database, row["slide"]), CountSettings())
        (percent,) = [line.percent for line in result.differential if line.cell_class == row["class"]]
        assert percent is not None
        assert row["percent"].hex() == percent.hex()
    for row in rows(database, "SELECT slide, nrbc_per_100_wbc FROM slide_summary"):
        result = report(counts.slide_tally(database, row["slide"]), CountSettings())
        assert result.nrbc_per_100_wbc is not None
        assert row["nrbc_per_100_wbc"].hex() == result.nrbc_per_100_wbc.hex()


def test_one_inbox_can_be_asked_for(eventful: Database) -> None:
    assert [line.tally.slide for line in counts.slide_tallies(eventful, inbox="/clinic")] == ["S-1"]
    assert counts.slide_tallies(eventful, inbox="/nowhere") == []
    assert counts.slide_tally(eventful, "S-1", inbox="/clinic").cells[CellClass.BASOPHIL] == 4


def test_unknown_and_ambiguous_slides_are_refused_with_a_remedy(eventful: Database) -> None:
    with pytest.raises(UnknownSlide, match="the command slides"):
        counts.slide_tally(eventful, "S-9")
    with pytest.raises(UnknownSlide, match="--inbox"):
        counts.slide_tally(eventful, "S-1")
    with pytest.raises(UnknownSlide, match="S-1"):
        counts.slide_tally(eventful, "S-1", inbox="/nowhere")
    assert counts.find_slide_id(eventful, "newer model") > 0


def test_more_slides_than_fit_one_query_are_all_tallied(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S{i:04}/a.jpg") for i in range(1003)])

    tallies = counts.slide_tallies(database)

    assert [line.tally.slide for line in tallies] == [f"S{i:04}" for i in range(1003)]
    assert {line.tally.pending for line in tallies} == {1}


def test_images_are_listed_in_the_order_they_came(eventful: Database) -> None:
    lines = image_lines(eventful, slide="S-1", inbox="/ward")

    assert [line.id for line in lines] == sorted(line.id for line in lines)
    by_path = {line.path: line for line in lines}
    assert by_path["S-1/again-1.jpg"].duplicate_of == "S-1/neutrophil-0.jpg"
    assert by_path["S-1/neutrophil-0.jpg"].duplicate_of is None
    assert (by_path["S-1/unsure-1.jpg"].cell_class, by_path["S-1/unsure-1.jpg"].identified) == ("basophil", False)
    assert by_path["S-1/overwritten.jpg"].reason_code == "not-an-image"
    assert by_path["S-1/late.jpg"].cell_class is None


def test_images_can_be_asked_for_by_state_and_number(eventful: Database) -> None:
    superseded = image_lines(eventful, states=[ImageState.SUPERSEDED])
    assert [line.path for line in superseded] == ["S-1/overwritten.jpg"]
    refused = image_lines(eventful, states=[ImageState.QUARANTINED])
    assert {line.reason_code for line in refused} == {"not-an-image", "empty"}
    assert len(image_lines(eventful, limit=5)) == 5
    assert len(image_lines(eventful, inbox="/clinic")) == 4


def test_the_newest_call_is_shown(eventful: Database) -> None:
    (line,) = [line for line in image_lines(eventful, slide="newer model") if line.path.endswith("neutrophil-0.jpg")]

    assert line.cell_class == "ig"


def test_progress_adds_up(eventful: Database) -> None:
    everywhere = progress(eventful)

    assert (everywhere.pending, everywhere.queued, everywhere.open) == (2, 1, 3)
    assert (everywhere.superseded, everywhere.quarantined, everywhere.duplicates) == (1, 2, 2)
    assert everywhere.done == sum(
        sum(line.tally.cells.values()) + line.tally.unidentified for line in counts.slide_tallies(eventful)
    )
    assert (everywhere.slides, everywhere.slides_complete) == (6, 3)
    assert everywhere.rate_per_second > 0
    assert everywhere.oldest_pending_at is not None
    clinic = progress(eventful, inbox="/clinic")
    assert (clinic.done, clinic.open, clinic.slides, clinic.oldest_pending_at) == (4, 0, 1, None)


def test_an_empty_database_has_no_progress_and_no_slides(database: Database) -> None:
    assert progress(database).finished == 0
    assert progress(database).oldest_pending_at is None
    assert counts.slide_tallies(database) == []
    assert image_lines(database) == []
    assert rows(database, "SELECT * FROM slide_differential") == []


def test_a_reader_sees_one_state_of_the_database(database: Database) -> None:
    """An image that becomes counted between two queries of one tally must be neither missed nor counted twice."""
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg")])
    (item,) = begin(database, take(database, inbox))
    outcome: Classified = classified(item.image_id, "a")
    query = text("SELECT state FROM images")

    with database.reading() as connection:
        assert connection.execute(query).scalar_one() == "queued"
        results.store(database, MODEL, "bench", [outcome])
        assert connection.execute(query).scalar_one() == "queued"
    with database.reading() as connection:
        assert connection.execute(query).scalar_one() == "done"
