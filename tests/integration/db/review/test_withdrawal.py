"""Slides that a person withdrew: kept, found when asked for, and in no list, export or total."""

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.ingest import journal
from smearcount.db.queries import counts
from smearcount.db.queries.inboxes import progress
from smearcount.db.queries.slides import SlideFilter, slide, slide_page
from smearcount.db.review.errors import ReviewRefused
from smearcount.db.review.sign_off import slide_events
from smearcount.db.review.withdrawal import restore, withdraw
from smearcount.db.schema import SlideEventKind
from smearcount.differential.classes import CellClass
from smearcount.differential.status import Status

from support.journalling import seen
from support.reviewing import Bench, sign


@pytest.fixture
def bench(database: Database) -> Bench:
    made = Bench(database)
    made.fill("S", [CellClass.NEUTROPHIL] * 3)
    made.fill("T", [CellClass.MONOCYTE] * 2)
    made.complete()
    return made


def listed(bench: Bench, *, withdrawn: bool = False) -> list[str]:
    return [one.name for one in slide_page(bench.database, SlideFilter(withdrawn=withdrawn)).slides]


def summarised(bench: Bench) -> dict[str, list[str]]:
    with bench.database.reading() as connection:
        return {
            view: sorted(set(connection.execute(text(f"SELECT slide FROM {view}")).scalars()))  # noqa: S608 (ours)
            for view in ("slide_cells", "slide_differential", "slide_summary")
        }


def test_a_withdrawn_slide_is_in_no_list_and_no_total_and_found_when_asked_for(bench: Bench) -> None:
    slide_id = bench.slide_id("S")
    before = progress(bench.database).slides

    withdraw(bench.database, slide_id, reviewer="Ada", reason="the same as T, misspelt")

    assert listed(bench) == ["T"]
    assert [one.tally.slide for one in counts.slide_tallies(bench.database)] == ["T"]
    assert progress(bench.database).slides == before - 1
    assert set(map(tuple, summarised(bench).values())) == {("T",)}
    assert listed(bench, withdrawn=True) == ["S"]
    assert [one.tally.slide for one in counts.slide_tallies(bench.database, withdrawn=True)] == ["S"]
    assert counts.slide_tally(bench.database, "S").cells[CellClass.NEUTROPHIL] == 3
    assert slide(bench.database, slide_id).withdrawn_at is not None
    (event,) = slide_events(bench.database, slide_id)
    assert (event.kind, event.reviewer, event.text) == (SlideEventKind.WITHDRAW, "Ada", "the same as T, misspelt")


def test_a_restored_slide_is_what_it_was(bench: Bench) -> None:
    slide_id = bench.slide_id("S")
    sign(bench.database, slide_id, reviewer="Ada")
    withdraw(bench.database, slide_id, reviewer="Ben", reason="a mistake")
    with pytest.raises(ReviewRefused, match="withdrawn already"):
        withdraw(bench.database, slide_id, reviewer="Ben", reason="again")

    restore(bench.database, slide_id, reviewer="Ben", reason="no mistake")

    found = slide(bench.database, slide_id)
    assert (found.status, found.signed_by, found.withdrawn_at) == (Status.SIGNED, "Ada", None)
    assert listed(bench) == ["T", "S"]
    assert set(map(tuple, summarised(bench).values())) == {("S", "T")}
    kinds = [event.kind for event in slide_events(bench.database, slide_id)]
    assert kinds == [SlideEventKind.SIGN_OFF, SlideEventKind.WITHDRAW, SlideEventKind.RESTORE]
    with bench.database.reading() as connection:
        assert connection.execute(text("SELECT signed_by FROM signatures")).scalars().all() == ["Ada"]


def test_a_withdrawal_needs_a_name_a_reason_and_a_slide(bench: Bench) -> None:
    slide_id = bench.slide_id("S")
    for change in (withdraw, restore):
        with pytest.raises(ReviewRefused, match="say why"):
            change(bench.database, slide_id, reviewer="Ada", reason=" ")
        with pytest.raises(ReviewRefused, match="name"):
            change(bench.database, slide_id, reviewer="", reason="why not")
        with pytest.raises(UnknownSlide):
            change(bench.database, 4711, reviewer="Ada", reason="why not")
    with pytest.raises(ReviewRefused, match="not withdrawn"):
        restore(bench.database, slide_id, reviewer="Ada", reason="why not")


def test_a_withdrawn_slide_cannot_be_signed(bench: Bench) -> None:
    slide_id = bench.slide_id("S")
    withdraw(bench.database, slide_id, reviewer="Ada", reason="misspelt")

    with pytest.raises(ReviewRefused, match="restore it first"):
        sign(bench.database, slide_id, reviewer="Ada")


def test_images_that_come_for_a_withdrawn_slide_are_said_and_leave_it_withdrawn(bench: Bench) -> None:
    withdraw(bench.database, bench.slide_id("S"), reviewer="Ada", reason="misspelt")

    came = journal.record(bench.database, bench.inbox, [seen("S/late.jpg"), seen("T/late.jpg")])

    assert (came.new, came.into_withdrawn) == (2, 1)
    assert listed(bench) == ["T"]
