"""Signing a slide: only when it is complete, for what was seen, and until anything about it changes."""

import threading

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.ingest import journal, results
from smearcount.db.queries.slides import SlideSummary, slide
from smearcount.db.records import Refusal
from smearcount.db.review.errors import ResultChanged, ReviewConflict, ReviewRefused, SlideSigned
from smearcount.db.review.records import Change
from smearcount.db.review.reviews import reclassify, undo
from smearcount.db.review.sign_off import comment, reopen, slide_events
from smearcount.db.schema import SlideEventKind
from smearcount.db.signing import signing
from smearcount.differential.classes import CellClass
from smearcount.differential.status import Status

from support.journalling import MODEL, begin, classified, count_cells, seen, take
from support.reviewing import IG, MONOCYTE, RULES, Bench, sign
from support.waiting import PATIENCE


@pytest.fixture
def bench(database: Database) -> Bench:
    """A laboratory with one complete slide of three neutrophils."""
    made = Bench(database)
    made.fill("S", [CellClass.NEUTROPHIL] * 3)
    made.complete()
    return made


@pytest.fixture
def ids(bench: Bench) -> list[int]:
    """The ids of its images."""
    with bench.database.reading() as connection:
        return list(connection.execute(text("SELECT id FROM images ORDER BY id")).scalars())


@pytest.fixture
def slide_id(bench: Bench) -> int:
    """The id of the slide."""
    return bench.slide_id("S")


def now(bench: Bench) -> SlideSummary:
    """The slide as it is."""
    return slide(bench.database, bench.slide_id("S"))


def test_a_complete_slide_is_signed_and_keeps_what_was_signed(bench: Bench, ids: list[int], slide_id: int) -> None:
    (review,) = bench.call(MONOCYTE, ids[0])

    event = sign(bench.database, slide_id, reviewer=" Ada ", comment="plausible")

    assert (event.kind, event.reviewer, event.text) == (SlideEventKind.SIGN_OFF, "Ada", "plausible")
    assert (event.counted, event.last_review_id, len(event.model_ids)) == (3, review.id, 1)
    assert slide_events(bench.database, slide_id) == [event]
    signed = now(bench)
    assert (signed.status, signed.signed_by, signed.signed_at) == (Status.SIGNED, "Ada", event.at)
    assert not signed.changed_since_signed


def test_a_slide_that_is_still_counting_cannot_be_signed(bench: Bench, slide_id: int) -> None:
    journal.record(bench.database, bench.inbox, [seen("S/late.jpg")])

    with pytest.raises(ReviewRefused, match="still being counted"):
        sign(bench.database, slide_id, reviewer="Ada")
    assert slide_events(bench.database, slide_id) == []


def test_a_signed_slide_refuses_changes_until_it_is_reopened(bench: Bench, ids: list[int], slide_id: int) -> None:
    bench.call(MONOCYTE, ids[0])
    sign(bench.database, slide_id, reviewer="Ben")

    with pytest.raises(SlideSigned, match="signed by Ben; reopen it"):
        bench.call(IG, ids[1])
    with pytest.raises(SlideSigned):
        undo(bench.database, slide_id, reviewer="Ada")
    with pytest.raises(SlideSigned, match="signed by Ben already"):
        sign(bench.database, slide_id, reviewer="Ada")

    event = reopen(bench.database, slide_id, reviewer="Ada", reason="a blast was missed")
    assert (event.kind, event.text) == (SlideEventKind.REOPEN, "a blast was missed")
    assert (now(bench).status, now(bench).signed_by, now(bench).changed_since_signed) == (Status.COMPLETE, None, False)
    bench.call(IG, ids[1])
    undo(bench.database, slide_id, reviewer="Ada")
    sign(bench.database, slide_id, reviewer="Ada")
    assert now(bench).signed_by == "Ada"


def test_comments_are_kept_and_change_nothing(bench: Bench, slide_id: int) -> None:
    comment(bench.database, slide_id, reviewer="Ada", text="old stain")
    sign(bench.database, slide_id, reviewer="Ada")
    comment(bench.database, slide_id, reviewer="Ben", text="seen")

    assert [(event.kind, event.text) for event in slide_events(bench.database, slide_id)] == [
        (SlideEventKind.COMMENT, "old stain"), (SlideEventKind.SIGN_OFF, None), (SlideEventKind.COMMENT, "seen"),
    ]  # fmt: skip
    assert now(bench).status is Status.SIGNED


def _late_image(bench: Bench, _ids: list[int]) -> None:
    count_cells(bench.database, bench.inbox, [("S/late.jpg", "late", CellClass.IG, True)])


def _overwritten_image(bench: Bench, _ids: list[int]) -> None:
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2)])
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [classified(item.image_id, "changed")])


def _image_that_moved_to_another_slide(bench: Bench, _ids: list[int]) -> None:
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2, slide="T")])


def _image_that_lost_its_slide(bench: Bench, _ids: list[int]) -> None:
    refusal = Refusal("no-slide", "no slide")
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2, slide=None, refusal=refusal)])


@pytest.mark.parametrize(
    "change", [_late_image, _overwritten_image, _image_that_moved_to_another_slide, _image_that_lost_its_slide]
)
def test_whatever_changes_the_images_takes_the_signature_away(
    bench: Bench, ids: list[int], slide_id: int, change: object
) -> None:
    assert callable(change)
    sign(bench.database, slide_id, reviewer="Ada")

    change(bench, ids)

    assert (now(bench).status, now(bench).signed_by, now(bench).changed_since_signed) == (Status.COUNTING, None, True)
    bench.complete()
    changed = now(bench)
    assert (changed.status, changed.signed_by, changed.changed_since_signed) == (Status.COMPLETE, None, True)
    bench.call(MONOCYTE, ids[1])  # needs no reopening
    with pytest.raises(ReviewRefused, match="not signed"):
        reopen(bench.database, slide_id, reviewer="Ada", reason="why not")
    sign(bench.database, slide_id, reviewer="Ben")
    assert (now(bench).signed_by, now(bench).changed_since_signed) == ("Ben", False)


def test_the_same_again_leaves_the_signature(bench: Bench, ids: list[int], slide_id: int) -> None:
    """A redelivered message and a rescan of unchanged files change nothing."""
    sign(bench.database, slide_id, reviewer="Ada")

    journal.record(bench.database, bench.inbox, [seen(f"S/{number}.jpg") for number in range(3)])
    results.begin(bench.database, ids)
    results.store(bench.database, MODEL, "bench", [classified(image_id, f"again {image_id}") for image_id in ids])
    bench.complete()

    assert now(bench).status is Status.SIGNED


def test_nobody_signs_what_he_has_not_seen(bench: Bench, ids: list[int], slide_id: int) -> None:
    (first,) = bench.call(MONOCYTE, ids[0])
    (second,) = bench.call(IG, ids[1], reviewer="Ben")

    with pytest.raises(ReviewConflict) as raised:
        _sign_after_review(bench, slide_id, first.id)

    assert [conflict.reviews for conflict in raised.value.conflicts] == [(second,)]
    with pytest.raises(ReviewConflict):
        _sign_after_review(bench, slide_id, 0)
    assert now(bench).last_review_id == second.id
    _sign_after_review(bench, slide_id, second.id)
    assert now(bench).status is Status.SIGNED


def _sign_after_review(bench: Bench, slide_id: int, review_id: int) -> None:
    """Sign as a program does that knows no digest."""
    signing.sign(bench.database, slide_id, reviewer="Ada", rules=RULES, seen_review_id=review_id)


def test_a_signature_says_what_was_seen(bench: Bench, slide_id: int) -> None:
    with pytest.raises(ReviewRefused, match="agrees with a result that was seen"):
        signing.sign(bench.database, slide_id, reviewer="Ada", rules=RULES)
    with pytest.raises(ReviewRefused, match="unchanged"):
        signing.sign(bench.database, slide_id, reviewer="Ada", rules=RULES, seen="0" * 64)
    assert slide_events(bench.database, slide_id) == []


def test_of_a_signature_and_a_change_at_the_same_moment_each_sees_the_other(
    bench: Bench, ids: list[int], slide_id: int
) -> None:
    """Either the change comes first and must be seen before the rest is signed, or the signature does and refuses the change."""
    for number in range(10):
        gate = threading.Barrier(2)
        refused: list[SlideSigned] = []

        def change(cell: int = number, gate: threading.Barrier = gate, refused: list[SlideSigned] = refused) -> None:
            with Database(bench.database.url.render_as_string(hide_password=False)) as own:
                gate.wait(PATIENCE)
                try:
                    last = slide(own, slide_id).last_review_id
                    reclassify(own, [Change(ids[0], MONOCYTE, last)], reviewer=f"Ben {cell}")
                except SlideSigned as error:
                    refused.append(error)

        thread = threading.Thread(target=change)
        thread.start()
        gate.wait(PATIENCE)
        try:
            event = sign(bench.database, slide_id, reviewer="Ada")
        except ResultChanged:  # the change was first, and was not seen
            event = sign(bench.database, slide_id, reviewer="Ada")
        thread.join(30)
        assert event.last_review_id == now(bench).last_review_id
        assert now(bench).status is Status.SIGNED
        reopen(bench.database, slide_id, reviewer="Ada", reason="again")


def test_impossible_requests_are_refused_with_the_reason(bench: Bench, slide_id: int) -> None:
    database = bench.database
    for unknown in (10**6, -1, 2**63):
        for act in (
            lambda number: sign(database, number, reviewer="Ada"),
            lambda number: reopen(database, number, reviewer="Ada", reason="why"),
            lambda number: comment(database, number, reviewer="Ada", text="text"),
            lambda number: slide_events(database, number),
        ):
            with pytest.raises(UnknownSlide):
                act(unknown)
    with pytest.raises(ReviewRefused, match="say why"):
        reopen(database, slide_id, reviewer="Ada", reason=" ")
    with pytest.raises(ReviewRefused, match="not signed"):
        reopen(database, slide_id, reviewer="Ada", reason="why")
    with pytest.raises(ReviewRefused, match="says something"):
        comment(database, slide_id, reviewer="Ada", text="\n")
    with pytest.raises(ReviewRefused, match="none of them NUL"):
        comment(database, slide_id, reviewer="Ada", text="a\0b")
    with pytest.raises(ReviewRefused, match="name"):
        sign(database, slide_id, reviewer="")
    assert slide_events(database, slide_id) == []


def test_the_views_tell_who_signed(bench: Bench, slide_id: int) -> None:
    bench.fill("T", [CellClass.IG])
    query = text("SELECT slide, signed_by FROM slide_summary ORDER BY slide")

    def signers() -> list[tuple[str, str | None]]:
        with bench.database.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    sign(bench.database, slide_id, reviewer="Ada")
    assert signers() == [("S", "Ada"), ("T", None)]
    comment(bench.database, slide_id, reviewer="Ben", text="seen")
    assert signers() == [("S", "Ada"), ("T", None)]
    journal.record(bench.database, bench.inbox, [seen("S/late.jpg")])
    assert signers() == [("S", None), ("T", None)]
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [classified(item.image_id, "late")])
    bench.complete()
    assert signers() == [("S", None), ("T", None)]
    sign(bench.database, slide_id, reviewer="Ben")
    assert signers() == [("S", "Ben"), ("T", None)]
    reopen(bench.database, slide_id, reviewer="Ada", reason="why")
    assert signers() == [("S", None), ("T", None)]
