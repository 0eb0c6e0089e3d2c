"""The cells of a slide: all of them, by class, the least certain first."""

from itertools import pairwise

import pytest
from sqlalchemy import event

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownImage, UnknownPage, UnknownSlide
from smearcount.db.ingest import inbox_registry, journal, results
from smearcount.db.queries.cells import GALLERY_ORDER, Cell, cell, cells
from smearcount.db.queries.images import image_file
from smearcount.db.queries.quarantine import QuarantinedPage, quarantined
from smearcount.db.records import Refusal, Refused
from smearcount.db.schema import ImageState
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.inbox.mounts import Mounts
from smearcount.inbox.paths import to_text

from support.journalling import MODEL, begin, classified, seen, take
from support.reviewing import IG, MONOCYTE, UNIDENTIFIED, Bench


@pytest.fixture
def bench(database: Database) -> Bench:
    """A laboratory with a slide that has images in every state, and cells of several classes and confidences."""
    made = Bench(database)
    files = {
        "S/n1.jpg": (CellClass.NEUTROPHIL, 0.99, True),
        "S/n2.jpg": (CellClass.NEUTROPHIL, 0.7, True),
        "S/n3.jpg": (CellClass.NEUTROPHIL, 0.8, True),
        "S/m1.jpg": (CellClass.MONOCYTE, 0.6, True),
        "S/p1.jpg": (CellClass.PLATELET, 0.95, True),
        "S/u1.jpg": (CellClass.IG, 0.3, False),
        "S/u2.jpg": (CellClass.BASOPHIL, 0.2, False),
    }
    journal.record(
        database,
        made.inbox,
        [*[seen(path, label="NEU") for path in files], seen("S/again.jpg"), seen("S/broken.jpg"), seen("S/old.jpg")],
    )
    items = {item.path: item.image_id for item in begin(database, take(database, made.inbox))}
    outcomes = [
        classified(items[path], path, cell_class, confidence=confidence, identified=identified)
        for path, (cell_class, confidence, identified) in files.items()
    ]
    results.store(
        database,
        MODEL,
        "bench",
        [
            *outcomes,
            classified(items["S/again.jpg"], "S/n1.jpg"),
            classified(items["S/old.jpg"], "old"),
            Refused(items["S/broken.jpg"], Refusal("damaged", "cut off"), "b" * 64),
        ],
    )
    journal.record(database, made.inbox, [seen("S/old.jpg", mtime_ns=2)])
    return made


def listed(bench: Bench, limit: int = 100, **which: object) -> list[Cell]:
    """All cells of a list, read page by page."""
    found: list[Cell] = []
    after = None
    while True:
        page = cells(bench.database, bench.slide_id("S"), after=after, limit=limit, **which)  # type: ignore[arg-type]
        found += page.cells
        after = page.next
        if after is None:
            return found
        assert len(page.cells) == limit


def names(found: list[Cell]) -> list[str]:
    """The files' names without folder and ending."""
    return [one.path.removeprefix("S/").removesuffix(".jpg") for one in found]


def by_name(bench: Bench) -> dict[str, Cell]:
    """All cells by name, without the superseded one."""
    found = listed(bench)
    return dict(zip(names(found), found, strict=True))


def test_cells_come_by_class_and_the_least_certain_first(bench: Bench) -> None:
    found = listed(bench)

    assert names(found) == ["u2", "u1", "n2", "n3", "n1", "m1", "p1", "again", "broken", "old"]
    assert set(GALLERY_ORDER) == set(ReviewClass)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9, 10])
def test_pages_of_any_length_put_together_are_the_whole_list(bench: Bench, limit: int) -> None:
    assert listed(bench, limit=limit) == listed(bench)


def test_a_reviewed_cell_is_shown_where_it_counts_now(bench: Bench) -> None:
    before = by_name(bench)
    (review,) = bench.call(MONOCYTE, before["n2"].id, reason="folded")
    bench.call(UNIDENTIFIED, before["p1"].id)

    assert names(listed(bench))[:7] == ["u2", "u1", "p1", "n3", "n1", "m1", "n2"]
    moved = by_name(bench)["n2"]
    assert (moved.effective, moved.reviewed, moved.review_id, moved.reviewer, moved.review_reason) == (
        MONOCYTE, MONOCYTE, review.id, "Ada", "folded",
    )  # fmt: skip
    assert moved.reviewed_at == review.reviewed_at
    assert moved.automatic == before["n2"].automatic
    assert moved == cell(bench.database, moved.id)


def test_a_cell_shows_all_that_the_model_said(bench: Bench) -> None:
    found = by_name(bench)["u1"]

    assert found.automatic is not None
    assert (found.automatic.cell_class, found.automatic.confidence, found.automatic.identified) == (
        CellClass.IG, 0.3, False,
    )  # fmt: skip
    assert list(found.automatic.probabilities) == list(CellClass)
    assert found.automatic.probabilities[CellClass.BASOPHIL] == 0.3, "the first of the eight that were stored"
    assert found.automatic.model == MODEL
    assert (found.effective, found.reviewed, found.review_id) == (UNIDENTIFIED, None, None)
    assert found.analyzer_label == "NEU"


def test_what_is_not_counted_says_why_and_counts_as_nothing(bench: Bench) -> None:
    found = by_name(bench)

    assert (found["broken"].reason_code, found["broken"].reason, found["broken"].sha256) == (
        "damaged", "cut off", "b" * 64,
    )  # fmt: skip
    assert found["again"].duplicate_of == found["n1"].id
    for name in ("broken", "again", "old"):
        assert (found[name].effective, found[name].automatic) == (None, None)
    assert found["old"].state is ImageState.PENDING


def test_cells_can_be_asked_for_by_class_state_confidence_and_review(bench: Bench) -> None:
    bench.call(IG, by_name(bench)["n3"].id)
    bench.call(IG, by_name(bench)["m1"].id)
    bench.call(None, by_name(bench)["m1"].id)

    assert names(listed(bench, cell_class=ReviewClass.NEUTROPHIL)) == ["n2", "n1"]
    assert names(listed(bench, cell_class=UNIDENTIFIED)) == ["u2", "u1"]
    assert names(listed(bench, cell_class=ReviewClass.EOSINOPHIL)) == []
    assert names(listed(bench, states=[ImageState.QUARANTINED, ImageState.DUPLICATE])) == ["again", "broken"]
    assert names(listed(bench, states=[ImageState.SUPERSEDED])) == ["old"]
    assert names(listed(bench, below=0.7)) == ["u2", "u1", "m1"]
    assert names(listed(bench, reviewed_only=True)) == ["n3"]
    assert names(listed(bench, cell_class=IG, below=0.9, reviewed_only=True, states=[ImageState.DONE])) == ["n3"]
    assert names(listed(bench, cell_class=IG, states=[ImageState.PENDING])) == []


def test_a_superseded_image_keeps_what_was_said_of_it_but_counts_as_nothing(bench: Bench) -> None:
    (old,) = listed(bench, states=[ImageState.SUPERSEDED])

    assert old.automatic is not None
    assert old.effective is None


def test_the_number_of_queries_does_not_depend_on_the_cells(bench: Bench) -> None:
    queries: list[str] = []
    slide_id = bench.slide_id("S")
    event.listen(bench.database.engine, "before_cursor_execute", lambda *call: queries.append(call[2]))

    cells(bench.database, slide_id, limit=1)
    for_one = len(queries)
    cells(bench.database, slide_id, limit=10)

    assert len(queries) - for_one == for_one < 5


def test_the_file_of_an_image_is_told_as_it_was_journalled(database: Database) -> None:
    inbox = inbox_registry.register_inbox(database, "strange", "/in box\\")
    journal.record(database, inbox, [seen("S/" + to_text("naïve\\x.jpg"), size=77)])

    found = image_file(database, 1, Mounts())

    assert (found.root, found.path) == ("/in box\\\\", "S/naïve\\\\x.jpg")
    assert (found.size, found.mtime_ns, found.sha256) == (77, 1, None)
    assert image_file(database, 1, Mounts({"strange": "/mnt/here"})).root == "/mnt/here"
    assert image_file(database, 1, Mounts({"other": "/mnt/here"})).root == found.root


def test_quarantined_files_of_all_slides_are_listed_newest_first(bench: Bench) -> None:
    refusal = Refusal("no-slide", "no slide")
    journal.record(
        bench.database,
        bench.inbox,
        [seen("stray.jpg", refusal=refusal), seen("T/empty.jpg", size=0, refusal=Refusal("empty", "empty"))],
    )

    pages: list[QuarantinedPage] = []
    after = None
    while not pages or after is not None:
        pages.append(quarantined(bench.database, after=after, limit=1))
        after = pages[-1].next
    files = [file for page in pages for file in page.files]

    assert len(pages) == 3
    assert [(file.path, file.slide, file.reason_code) for file in files] == [
        ("T/empty.jpg", "T", "empty"), ("stray.jpg", None, "no-slide"), ("S/broken.jpg", "S", "damaged"),
    ]  # fmt: skip
    assert files == quarantined(bench.database).files
    assert all(later.id < earlier.id for earlier, later in pairwise(files))
    assert files[2].slide_id == bench.slide_id("S")


def test_unknown_images_slides_and_pages_are_refused(bench: Bench) -> None:
    page = cells(bench.database, bench.slide_id("S"), limit=1)
    for unknown in (0, -1, 10**6, 2**63):
        with pytest.raises(UnknownImage):
            cell(bench.database, unknown)
        with pytest.raises(UnknownImage):
            image_file(bench.database, unknown, Mounts())
        with pytest.raises(UnknownSlide):
            cells(bench.database, unknown)
    for after in ("", "x", page.next):
        with pytest.raises(UnknownPage):
            quarantined(bench.database, after=after or "")
    with pytest.raises(UnknownPage):
        cells(bench.database, bench.slide_id("S"), after="x")
    for limit in (0, -1):
        with pytest.raises(ValueError, match="at least one"):
            cells(bench.database, bench.slide_id("S"), limit=limit)
        with pytest.raises(ValueError, match="at least one"):
            quarantined(bench.database, limit=limit)
