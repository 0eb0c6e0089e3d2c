"""What people wrote and excluded, gathered for the forms: complete, in order, and as it counts."""

import pytest
from sqlalchemy import event

from smearcount.db.engine.database import Database
from smearcount.db.engine.paging import is_storable
from smearcount.db.ingest import journal
from smearcount.db.queries.remarks import slide_remarks
from smearcount.db.queries.slides import SlideFilter, slide_page
from smearcount.db.review.reviews import undo
from smearcount.db.review.sign_off import comment, reopen
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.forms.remarks import Remarks

from support.examining import HOSTILE_TEXTS
from support.journalling import seen
from support.reviewing import IG, MONOCYTE, NEUTROPHIL, UNIDENTIFIED, Bench, sign


@pytest.fixture
def bench(database: Database) -> Bench:
    """A slide of four neutrophils and one cell that the model was not sure of, complete."""
    bench = Bench(database)
    bench.fill("S", [*[CellClass.NEUTROPHIL] * 4, None])
    bench.complete()
    return bench


def remarks(bench: Bench, name: str = "S") -> Remarks:
    (found,) = slide_page(bench.database, SlideFilter(text=name)).slides
    return slide_remarks(bench.database, {found.id: found.last_review_id})[found.id]


def test_a_slide_of_which_nobody_said_anything_has_no_remarks(bench: Bench) -> None:
    bench.call(IG, 1)
    sign(bench.database, bench.slide_id("S"), reviewer="Ada")

    assert remarks(bench) == Remarks()
    assert slide_remarks(bench.database, {}) == {}


def test_everything_that_was_written_is_told_oldest_first_with_who_and_what_for(bench: Bench) -> None:
    database, slide_id = bench.database, bench.slide_id("S")
    comment(database, slide_id, reviewer="Ada", text="pale stain")
    bench.call(IG, 1, 2, reviewer="Ben", reason="indented nucleus")
    sign(database, slide_id, reviewer="Ada", comment="seen twice")
    reopen(database, slide_id, reviewer="Grace", reason="a blast, after all")
    bench.call(None, 2, reviewer="Grace", reason="no, a neutrophil")

    found = remarks(bench)

    assert [(one.kind, one.reviewer, one.text) for one in found.said] == [
        ("comment", "Ada", "pale stain"),
        ("review", "Ben", "indented nucleus"),
        ("sign-off", "Ada", "seen twice"),
        ("reopen", "Grace", "a blast, after all"),
        ("review", "Grace", "no, a neutrophil"),
    ]
    assert [one.at for one in found.said] == sorted(one.at for one in found.said)
    cells = [[(cell.cell, cell.reviewed, cell.holds) for cell in one.cells] for one in found.said]
    assert cells == [[], [(1, IG, True), (2, IG, False)], [], [], [(2, None, True)]]
    assert found.excluded == ()


def test_cells_that_a_person_took_out_of_the_count_are_named_with_who_and_why(bench: Bench) -> None:
    bench.call(UNIDENTIFIED, 1, 3, reviewer="Ada", reason="smudge")
    bench.call(UNIDENTIFIED, 5, reviewer="Ben")
    bench.call(UNIDENTIFIED, 2, reviewer="Ada")
    bench.call(MONOCYTE, 2, reviewer="Ben")

    assert [(one.cell, one.automatic, one.reviewed, one.reviewer, one.reason) for one in remarks(bench).excluded] == [
        (1, NEUTROPHIL, UNIDENTIFIED, "Ada", "smudge"),
        (3, NEUTROPHIL, UNIDENTIFIED, "Ada", "smudge"),
        (5, ReviewClass.UNIDENTIFIED, UNIDENTIFIED, "Ben", None),
    ]


def test_what_was_undone_stays_written_but_excludes_nothing(bench: Bench) -> None:
    bench.call(UNIDENTIFIED, 1, reviewer="Ada", reason="smudge")
    bench.call(IG, 1, reviewer="Ben", reason="young")
    undo(bench.database, bench.slide_id("S"), reviewer="Ben")

    found = remarks(bench)
    assert [(one.text, [cell.holds for cell in one.cells]) for one in found.said] == [
        ("smudge", [True]),
        ("young", [False]),
    ]
    assert [(one.cell, one.reviewer, one.reason) for one in found.excluded] == [(1, "Ada", "smudge")]
    undo(bench.database, bench.slide_id("S"), reviewer="Ada")
    assert remarks(bench).excluded == ()
    assert [one.text for one in remarks(bench).said] == ["smudge", "young"]


def test_an_overwritten_image_excludes_nothing_and_its_reason_stays(bench: Bench) -> None:
    bench.call(UNIDENTIFIED, 1, reason="smudge")
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2)])

    found = remarks(bench)
    assert found.excluded == ()
    assert [(one.text, [cell.holds for cell in one.cells]) for one in found.said] == [("smudge", [False])]


def test_reviews_later_than_the_count_are_left_out(bench: Bench) -> None:
    (first,) = bench.call(UNIDENTIFIED, 1, reason="smudge")
    bench.call(IG, 1, reason="young")
    slide_id = bench.slide_id("S")

    (found,) = slide_remarks(bench.database, {slide_id: first.id}).values()
    assert [one.text for one in found.said] == ["smudge"]
    assert [one.cell for one in found.excluded] == [1]
    assert slide_remarks(bench.database, {slide_id: None}) == {slide_id: Remarks()}


def test_each_slide_has_its_own_remarks_in_as_many_queries_as_one(bench: Bench) -> None:
    for number in range(3):
        (cell,) = bench.fill(f"T{number}", [CellClass.IG])
        bench.call(UNIDENTIFIED, cell, reason=f"reason {number}")
        comment(bench.database, bench.slide_id(f"T{number}"), reviewer="Ada", text=f"comment {number}")
    slides = {one.id: one for one in slide_page(bench.database, SlideFilter()).slides}
    statements: list[str] = []
    event.listen(bench.database.engine, "before_cursor_execute", lambda *what: statements.append(what[2]))

    found = slide_remarks(bench.database, {one.id: one.last_review_id for one in slides.values()})

    texts = {slides[slide_id].name: [one.text for one in remarks.said] for slide_id, remarks in found.items()}
    assert texts == {"S": []} | {f"T{number}": [f"reason {number}", f"comment {number}"] for number in range(3)}
    assert {slides[slide_id].name: len(remarks.excluded) for slide_id, remarks in found.items()} == {
        "S": 0, "T0": 1, "T1": 1, "T2": 1,
    }  # fmt: skip
    assert sum(statement.lstrip().startswith("SELECT") for statement in statements) == 2


def test_what_was_written_comes_back_as_it_was_written(bench: Bench) -> None:
    texts = [text for text in HOSTILE_TEXTS if text.strip() and is_storable(text)]
    for text in texts:
        comment(bench.database, bench.slide_id("S"), reviewer="Ada", text=text)
    bench.call(IG, 1, reason=texts[-2])

    assert [one.text for one in remarks(bench).said] == [text.strip() for text in (*texts, texts[-2])]
