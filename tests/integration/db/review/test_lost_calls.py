"""Calls of people whose images changed: named as lost, and brought back where the very same picture is counted."""

import pytest

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.ingest import journal, results
from smearcount.db.queries.cells import cell
from smearcount.db.records import Journalled
from smearcount.db.review.errors import ReviewRefused, SlideSigned
from smearcount.db.review.lost_calls import WATCHER, bring_back, lost_calls
from smearcount.db.review.reviews import undo
from smearcount.db.review.sign_off import slide_events
from smearcount.db.schema import SlideEventKind
from smearcount.differential.classes import CellClass, ReviewClass

from support.journalling import MODEL, begin, classified, seen, take
from support.reviewing import IG, MONOCYTE, UNIDENTIFIED, Bench, sign

CELLS = [CellClass.NEUTROPHIL] * 3


@pytest.fixture
def bench(database: Database) -> Bench:
    made = Bench(database)
    made.fill("S", CELLS)
    made.complete()
    return made


def change(bench: Bench, path: str, content: str, *, mtime_ns: int) -> int:
    """Write other bytes to a file, or to a new one, count it, and return its image."""
    journal.record(bench.database, bench.inbox, [seen(path, mtime_ns=mtime_ns, content=content)])
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [classified(item.image_id, content)])
    bench.complete()
    return item.image_id


def image_of(bench: Bench, path: str) -> int:
    folder, _, name = path.rpartition("/")
    return journal.known_in_folder(bench.database, bench.inbox, folder)[name].image_id


def test_a_file_with_another_time_and_the_same_bytes_keeps_its_image_its_reviews_and_the_signature(
    bench: Bench,
) -> None:
    slide, image = bench.slide_id("S"), image_of(bench, "S/0.jpg")
    bench.call(IG, image)
    sign(bench.database, slide, reviewer="Ada")
    touched = [seen(f"S/{number}.jpg", mtime_ns=3_600_000_000_001, content=f"S {number}") for number in range(3)]

    assert journal.record(bench.database, bench.inbox, touched) == Journalled(unchanged=3)

    assert image_of(bench, "S/0.jpg") == image
    assert cell(bench.database, image).effective == IG
    assert [event.kind for event in slide_events(bench.database, slide)] == [SlideEventKind.SIGN_OFF]
    with pytest.raises(SlideSigned):
        bench.call(MONOCYTE, image)
    assert journal.record(bench.database, bench.inbox, touched) == Journalled(), "the new time is known now"
    assert lost_calls(bench.database, slide) == []


def test_the_history_and_the_list_of_lost_calls_say_what_was_lost(bench: Bench) -> None:
    slide = bench.slide_id("S")
    first, second = image_of(bench, "S/0.jpg"), image_of(bench, "S/1.jpg")
    bench.call(IG, first, reviewer="Ada", reason="a myelocyte")
    bench.call(MONOCYTE, second, reviewer="Ben")
    bench.call(None, second, reviewer="Ben")

    came = journal.record(bench.database, bench.inbox, [seen(f"S/{n}.jpg", mtime_ns=2) for n in range(3)])

    assert (came.superseded, came.calls_lost) == (3, 1), "who went back to the automatic call has lost nothing"
    (lost,) = lost_calls(bench.database, slide)
    assert (lost.image_id, lost.path, lost.cell_class, lost.reviewer) == (first, "S/0.jpg", IG, "Ada")
    assert (lost.reason, lost.same_picture) == ("a myelocyte", None)
    (event,) = slide_events(bench.database, slide)
    assert (event.kind, event.reviewer) == (SlideEventKind.CONTENT_CHANGED, WATCHER)
    assert event.text == "1 image changed that a person had called: 0.jpg (called ig by Ada)"
    with pytest.raises(ReviewRefused, match="no call of slide"):
        bring_back(bench.database, slide, reviewer="Eve")


@pytest.mark.parametrize("path", ["S/0.jpg", "S/under another name.jpg"])
def test_one_action_brings_calls_back_where_the_same_picture_is_counted(bench: Bench, path: str) -> None:
    slide, image = bench.slide_id("S"), image_of(bench, "S/0.jpg")
    bench.call(IG, image, reviewer="Ada")
    change(bench, "S/0.jpg", "something else", mtime_ns=2)

    back = change(bench, path, "S 0", mtime_ns=3)

    (lost,) = lost_calls(bench.database, slide)
    assert (lost.image_id, lost.same_picture) == (image, back)
    (review,) = bring_back(bench.database, slide, reviewer="Eve")
    assert (review.image_id, review.cell_class, review.reviewer) == (back, IG, "Eve")
    assert review.reason == "brought back: the same picture was called so before, by Ada"
    assert cell(bench.database, back).effective == IG
    assert lost_calls(bench.database, slide) == []
    with pytest.raises(ReviewRefused):
        bring_back(bench.database, slide, reviewer="Eve")
    undo(bench.database, slide, reviewer="Eve")
    assert cell(bench.database, back).effective == ReviewClass.NEUTROPHIL


def test_of_several_calls_of_one_picture_the_newest_comes_back(bench: Bench) -> None:
    slide = bench.slide_id("S")
    bench.call(IG, image_of(bench, "S/0.jpg"), reviewer="Ada")
    change(bench, "S/0.jpg", "something else", mtime_ns=2)
    bench.call(MONOCYTE, change(bench, "S/0.jpg", "S 0", mtime_ns=3), reviewer="Ben")
    assert lost_calls(bench.database, slide) == [], "Ben has called the same picture anew"
    change(bench, "S/0.jpg", "something else again", mtime_ns=4)
    change(bench, "S/0.jpg", "S 0", mtime_ns=5)

    (review,) = bring_back(bench.database, slide, reviewer="Eve")

    assert review.cell_class == MONOCYTE


def test_a_call_is_lost_no_more_when_a_person_calls_the_new_file(bench: Bench) -> None:
    slide = bench.slide_id("S")
    bench.call(IG, image_of(bench, "S/0.jpg"))
    new = change(bench, "S/0.jpg", "something else", mtime_ns=2)
    assert len(lost_calls(bench.database, slide)) == 1

    bench.call(UNIDENTIFIED, new)

    assert lost_calls(bench.database, slide) == []


def test_calls_do_not_come_back_into_a_signed_slide(bench: Bench) -> None:
    slide = bench.slide_id("S")
    bench.call(IG, image_of(bench, "S/0.jpg"))
    change(bench, "S/0.jpg", "something else", mtime_ns=2)
    change(bench, "S/0.jpg", "S 0", mtime_ns=3)
    sign(bench.database, slide, reviewer="Ada")

    with pytest.raises(SlideSigned):
        bring_back(bench.database, slide, reviewer="Eve")
    with pytest.raises(UnknownSlide):
        lost_calls(bench.database, 4711)
