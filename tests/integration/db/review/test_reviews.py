"""What people say of cells: kept whole, counted at once, and never said over another's head."""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownImage, UnknownSlide
from smearcount.db.ingest import journal, results
from smearcount.db.queries import counts
from smearcount.db.queries.cells import cell
from smearcount.db.queries.slides import slide
from smearcount.db.records import Refusal, Refused
from smearcount.db.review.checks import LONGEST_NAME, LONGEST_TEXT
from smearcount.db.review.errors import ReviewConflict, ReviewRefused
from smearcount.db.review.history import history, slide_history
from smearcount.db.review.records import Change, Review
from smearcount.db.review.reviews import MOST_CHANGES, reclassify, undo
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.report import report
from smearcount.differential.settings import CountSettings
from smearcount.differential.tally import Calls, SlideTally

from support.journalling import MODEL, NEWER_MODEL, begin, classified, seen, take
from support.reviewing import IG, MONOCYTE, NEUTROPHIL, UNIDENTIFIED, Bench
from support.waiting import PATIENCE


@pytest.fixture
def bench(database: Database) -> Bench:
    """A laboratory with one slide of six cells: four neutrophils, a platelet, and one that is unidentified."""
    made = Bench(database)
    made.fill("S", [*[CellClass.NEUTROPHIL] * 4, CellClass.PLATELET, None])
    return made


@pytest.fixture
def ids(bench: Bench) -> list[int]:
    """The ids of its images."""
    with bench.database.reading() as connection:
        return list(connection.execute(text("SELECT id FROM images ORDER BY id")).scalars())


def reviewed(bench: Bench, name: str = "S") -> dict[str, int]:
    """What the slide counts once people have looked, without zeros."""
    return numbers(counts.slide_tally(bench.database, name, calls=Calls.REVIEWED))


def automatic(bench: Bench, name: str = "S") -> dict[str, int]:
    """What the slide counts by the model alone, without zeros."""
    return numbers(counts.slide_tally(bench.database, name, calls=Calls.AUTOMATIC))


def numbers(tally: SlideTally) -> dict[str, int]:
    """The cells of a tally, without zeros."""
    found = {str(name): number for name, number in tally.cells.items()} | {"unidentified": tally.unidentified}
    return {name: number for name, number in found.items() if number}


def rows(bench: Bench) -> int:
    """How many reviews are kept."""
    with bench.database.reading() as connection:
        return int(connection.execute(text("SELECT COUNT(*) FROM reviews")).scalar_one())


def test_a_reclassified_cell_counts_as_what_the_person_said_and_the_automatic_count_stays(
    bench: Bench, ids: list[int]
) -> None:
    before = automatic(bench)

    bench.call(MONOCYTE, ids[0], reason="kidney-shaped")

    assert automatic(bench) == before == {"neutrophil": 4, "platelet": 1, "unidentified": 1}
    assert reviewed(bench) == {"neutrophil": 3, "monocyte": 1, "platelet": 1, "unidentified": 1}


def test_a_review_tells_who_when_from_what_to_what_and_why(bench: Bench, ids: list[int]) -> None:
    (review,) = bench.call(MONOCYTE, ids[0], reviewer=" Ada ", reason=" kidney-shaped ")

    assert (review.reviewer, review.was, review.became, review.reason) == (
        "Ada", NEUTROPHIL, MONOCYTE, "kidney-shaped",
    )  # fmt: skip
    assert review.reviewed_at.utcoffset() is not None
    assert history(bench.database, ids[0]) == [review]
    assert history(bench.database, ids[1]) == []


def test_an_unidentified_cell_can_be_called_and_a_called_one_taken_out(bench: Bench, ids: list[int]) -> None:
    bench.call(IG, ids[5])
    bench.call(UNIDENTIFIED, ids[0], reason="smudge")

    assert reviewed(bench) == {"neutrophil": 3, "ig": 1, "platelet": 1, "unidentified": 1}
    assert [review.was for review in slide_history(bench.database, bench.slide_id("S"))] == [UNIDENTIFIED, NEUTROPHIL]


def test_a_cell_can_go_back_to_the_automatic_call(bench: Bench, ids: list[int]) -> None:
    bench.call(IG, ids[0])
    (back,) = bench.call(None, ids[0])

    assert counts.slide_tally(bench.database, "S").calls is Calls.AUTOMATIC, "no call of a person is left"
    assert reviewed(bench) == automatic(bench)
    assert (back.was, back.cell_class, back.became) == (IG, None, NEUTROPHIL)
    assert slide(bench.database, bench.slide_id("S")).reviewed_cells == 0


def test_many_cells_are_reclassified_in_one_action_and_in_the_order_given(bench: Bench, ids: list[int]) -> None:
    reviews = bench.call(MONOCYTE, ids[2], ids[0], ids[1])

    assert [review.image_id for review in reviews] == [ids[2], ids[0], ids[1]]
    assert len({review.action for review in reviews}) == 1
    assert reviewed(bench)["monocyte"] == 3
    assert slide(bench.database, bench.slide_id("S")).reviewed_cells == 3


def test_the_intervals_and_flags_follow_the_reviewed_count(bench: Bench, ids: list[int]) -> None:
    bench.call(MONOCYTE, *ids[:4])

    tally = counts.slide_tally(bench.database, "S", calls=Calls.REVIEWED)
    result = report(tally, CountSettings(minimum_wbc=1))
    assert tally.calls is Calls.REVIEWED
    assert {row.cell_class: row.percent for row in result.differential}[CellClass.MONOCYTE] == 100.0
    assert "high:monocyte" in {flag.code for flag in result.flags}
    too_few = report(tally, CountSettings(minimum_wbc=100))
    assert "borderline:monocyte" in {flag.code for flag in too_few.flags}


def test_who_has_not_seen_the_newest_review_is_told_of_it_and_nothing_is_written(bench: Bench, ids: list[int]) -> None:
    (first,) = bench.call(MONOCYTE, ids[0], reviewer="Ada")
    (second,) = bench.call(IG, ids[0], reviewer="Ben", reason="young")

    with pytest.raises(ReviewConflict, match=r"Ben made it ig \(it was monocyte\); nothing was written") as raised:
        reclassify(
            bench.database,
            [Change(ids[1], MONOCYTE, None), Change(ids[0], UNIDENTIFIED, first.id)],
            reviewer="Ada",
        )

    (conflict,) = raised.value.conflicts
    assert (conflict.image_id, conflict.reviews) == (ids[0], (second,))
    assert rows(bench) == 2
    assert history(bench.database, ids[1]) == []


def test_every_image_that_changed_meanwhile_is_named(bench: Bench, ids: list[int]) -> None:
    bench.call(MONOCYTE, ids[0], ids[1], reviewer="Ben")

    with pytest.raises(ReviewConflict, match="and 1 more") as raised:
        reclassify(bench.database, [Change(image_id, IG, None) for image_id in ids[:3]], reviewer="Ada")

    assert {conflict.image_id for conflict in raised.value.conflicts} == set(ids[:2])


def test_of_two_reviewers_at_the_same_moment_one_wins_and_the_other_is_told(bench: Bench, ids: list[int]) -> None:
    gate = threading.Barrier(2)
    outcomes: dict[str, list[Review] | ReviewConflict] = {}

    def act(reviewer: str, cell_class: ReviewClass) -> None:
        with Database(bench.database.url.render_as_string(hide_password=False)) as own:
            gate.wait(PATIENCE)
            try:
                outcomes[reviewer] = reclassify(own, [Change(ids[0], cell_class, None)], reviewer=reviewer)
            except ReviewConflict as conflict:
                outcomes[reviewer] = conflict

    together(lambda: act("Ada", MONOCYTE), lambda: act("Ben", IG))

    (conflict,) = [outcome for outcome in outcomes.values() if isinstance(outcome, ReviewConflict)]
    (written,) = [outcome for outcome in outcomes.values() if isinstance(outcome, list)]
    assert conflict.conflicts[0].reviews == tuple(written)
    assert history(bench.database, ids[0]) == written


def test_reviewers_of_many_cells_and_a_worker_wait_for_each_other_without_deadlock(
    bench: Bench, ids: list[int]
) -> None:
    """All take the slide's lock first, whatever the order in which they name the images."""
    gate = threading.Barrier(3)
    url = bench.database.url.render_as_string(hide_password=False)
    failures: list[ReviewConflict] = []

    def review(own: Database, image_ids: list[int], cell_class: ReviewClass) -> None:
        try:
            changes = [Change(image_id, cell_class, cell(own, image_id).review_id) for image_id in image_ids]
            reclassify(own, changes, reviewer=str(cell_class))
        except ReviewConflict as conflict:
            failures.append(conflict)

    def act(image_ids: list[int], cell_class: ReviewClass) -> None:
        with Database(url) as own:
            gate.wait(PATIENCE)
            for _ in range(10):
                review(own, image_ids, cell_class)

    def deliver() -> None:
        with Database(url) as own:
            gate.wait(PATIENCE)
            for number in range(10):
                journal.record(own, bench.inbox, [seen("S/0.jpg", mtime_ns=10 + number), seen(f"S/new-{number}.jpg")])
                items = begin(own, take(own, bench.inbox))
                results.store(own, MODEL, "bench", [classified(item.image_id, f"n{item.image_id}") for item in items])

    together(lambda: act(ids[1:], MONOCYTE), lambda: act(ids[:0:-1], IG), deliver)

    assert rows(bench) == 5 * (20 - len(failures))
    assert sum(reviewed(bench).values()) == sum(automatic(bench).values()) == 16


def together(*acts: Callable[[], None]) -> None:
    """Do all at the same time, and raise what one of them raises."""
    raised: list[BaseException] = []

    def guarded(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 (raised again below, where the test sees it)
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if raised:
        raise raised[0]
    assert not any(thread.is_alive() for thread in threads)


def test_undo_takes_back_the_last_action_of_that_reviewer_alone(bench: Bench, ids: list[int]) -> None:
    slide_id = bench.slide_id("S")
    bench.call(MONOCYTE, ids[0], reviewer="Ada")
    bench.call(IG, ids[1], ids[2], reviewer="Ada")
    bench.call(MONOCYTE, ids[3], reviewer="Ben")

    undone = undo(bench.database, slide_id, reviewer="Ada")

    assert {(review.image_id, review.was, review.became) for review in undone} == {
        (ids[1], IG, NEUTROPHIL), (ids[2], IG, NEUTROPHIL),
    }  # fmt: skip
    assert reviewed(bench) == {"neutrophil": 2, "monocyte": 2, "platelet": 1, "unidentified": 1}
    undo(bench.database, slide_id, reviewer="Ada")
    assert reviewed(bench) == {"neutrophil": 3, "monocyte": 1, "platelet": 1, "unidentified": 1}
    with pytest.raises(ReviewRefused, match="Ada has nothing to undo"):
        undo(bench.database, slide_id, reviewer="Ada")
    assert rows(bench) == 4 + 3, "what was undone stays known"


def test_undo_restores_what_a_person_had_said_before(bench: Bench, ids: list[int]) -> None:
    slide_id = bench.slide_id("S")
    bench.call(MONOCYTE, ids[0], reviewer="Ben")
    (second,) = bench.call(IG, ids[0], reviewer="Ada")

    (undone,) = undo(bench.database, slide_id, reviewer="Ada")

    assert (undone.undoes, undone.cell_class) == (second.id, MONOCYTE)
    (again,) = undo(bench.database, slide_id, reviewer="Ben")
    assert again.cell_class is None
    assert reviewed(bench) == automatic(bench)


def test_nobody_undoes_what_another_has_changed_since(bench: Bench, ids: list[int]) -> None:
    slide_id = bench.slide_id("S")
    bench.call(MONOCYTE, ids[0], ids[1], reviewer="Ada")
    (later,) = bench.call(IG, ids[0], reviewer="Ben")

    with pytest.raises(ReviewConflict, match="Ben made it ig") as raised:
        undo(bench.database, slide_id, reviewer="Ada")

    assert [conflict.reviews for conflict in raised.value.conflicts] == [(later,)]
    assert reviewed(bench)["monocyte"] == 1, "not even the other image"
    undo(bench.database, slide_id, reviewer="Ben")
    undo(bench.database, slide_id, reviewer="Ada")
    assert reviewed(bench) == automatic(bench)


def test_undo_leaves_out_images_that_were_overwritten(bench: Bench, ids: list[int]) -> None:
    bench.call(MONOCYTE, ids[0], reviewer="Ada")
    bench.call(IG, ids[1], ids[2], reviewer="Ada")
    journal.record(bench.database, bench.inbox, [seen("S/1.jpg", mtime_ns=2)])

    undone = undo(bench.database, bench.slide_id("S"), reviewer="Ada")

    assert [review.image_id for review in undone] == [ids[2]]


def test_an_overwritten_image_takes_its_review_out_of_the_count(bench: Bench, ids: list[int]) -> None:
    bench.call(MONOCYTE, ids[0])
    journal.record(bench.database, bench.inbox, [seen("S/0.jpg", mtime_ns=2)])
    (item,) = begin(bench.database, take(bench.database, bench.inbox))
    results.store(bench.database, MODEL, "bench", [classified(item.image_id, "new")])

    assert reviewed(bench) == automatic(bench)
    assert [review.became for review in history(bench.database, ids[0])] == [MONOCYTE], "it is still known"


def test_a_newer_models_call_does_not_overrule_a_person(bench: Bench, ids: list[int]) -> None:
    bench.call(MONOCYTE, ids[0])
    bench.call(None, ids[1])
    with bench.database.writing() as connection:
        connection.execute(
            text("INSERT INTO models (id, name, version, sha256, preprocessing, threshold)"
                 " SELECT 9, name, '2.0', :sha256, preprocessing, threshold FROM models"),
            {"sha256": NEWER_MODEL.sha256},
        )  # fmt: skip
        connection.execute(
            text("INSERT INTO classifications (image_id, model_id, cell_class, confidence, probabilities, identified,"
                 " worker, classified_at) SELECT image_id, 9, 'ig', confidence, probabilities, identified, worker,"
                 " classified_at FROM classifications WHERE image_id <= :last"),
            {"last": ids[1]},
        )  # fmt: skip

    assert automatic(bench) == {"neutrophil": 2, "ig": 2, "platelet": 1, "unidentified": 1}
    assert reviewed(bench) == {"neutrophil": 2, "ig": 1, "monocyte": 1, "platelet": 1, "unidentified": 1}


def test_what_is_not_counted_cannot_be_reclassified(bench: Bench) -> None:
    database, inbox = bench.database, bench.inbox
    journal.record(database, inbox, [seen("T/first.jpg"), seen("T/again.jpg"), seen("T/broken.jpg"), seen("T/old.jpg")])
    items = {item.path: item.image_id for item in begin(database, take(database, inbox))}
    results.store(
        database,
        MODEL,
        "bench",
        [
            classified(items["T/first.jpg"], "same"),
            classified(items["T/again.jpg"], "same"),
            classified(items["T/old.jpg"], "old"),
            Refused(items["T/broken.jpg"], Refusal("damaged", "damaged")),
        ],
    )
    journal.record(database, inbox, [seen("T/old.jpg", mtime_ns=2), seen("T/late.jpg")])
    items |= {item.path + " new": item.image_id for item in begin(database, take(database, inbox))}

    for path, why in {
        "T/again.jpg": "is a duplicate",
        "T/broken.jpg": "is quarantined",
        "T/old.jpg": "was overwritten",
        "T/late.jpg new": "is not classified yet",
    }.items():
        with pytest.raises(ReviewRefused, match=f"image {items[path]} {why}"):
            reclassify(
                database, [Change(items["T/first.jpg"], IG, None), Change(items[path], IG, None)], reviewer="Ada"
            )
    assert rows(bench) == 0


def test_impossible_requests_are_refused_with_the_reason(bench: Bench, ids: list[int]) -> None:
    database = bench.database
    (own,) = bench.call(IG, ids[0])
    change = Change(ids[1], IG, None)

    with pytest.raises(ReviewRefused, match="each image once"):
        reclassify(database, [change, change], reviewer="Ada")
    with pytest.raises(ReviewRefused, match=f"at most {MOST_CHANGES}"):
        reclassify(database, [Change(number, IG, None) for number in range(MOST_CHANGES + 1)], reviewer="Ada")
    with pytest.raises(ReviewRefused, match=f"review {own.id} is none of image {ids[1]}"):
        reclassify(database, [Change(ids[1], IG, own.id)], reviewer="Ada")
    for name in ("", "  ", "A\nB", "A\0", "A\udcff", "A" * (LONGEST_NAME + 1)):
        with pytest.raises(ReviewRefused, match="reviewer's name"):
            reclassify(database, [change], reviewer=name)
        with pytest.raises(ReviewRefused, match="reviewer's name"):
            undo(database, 1, reviewer=name)
    for reason in ("\0", "\udcff", "A" * (LONGEST_TEXT + 1)):
        with pytest.raises(ReviewRefused, match="reason or comment"):
            reclassify(database, [change], reviewer="Ada", reason=reason)
    for unknown in (10**6, -1, 2**63, 10**30):
        with pytest.raises(UnknownImage):
            reclassify(database, [change, Change(unknown, IG, None)], reviewer="Ada")
        with pytest.raises(UnknownImage):
            history(database, unknown)
        with pytest.raises(UnknownSlide):
            undo(database, unknown, reviewer="Ada")
        with pytest.raises(UnknownSlide):
            slide_history(database, unknown)
    assert reclassify(database, [], reviewer="Ada") == []
    assert rows(bench) == 1


def test_the_views_give_the_very_numbers_of_the_reviewed_tally(bench: Bench, ids: list[int]) -> None:
    bench.fill("T", [CellClass.NEUTROPHIL, CellClass.ERYTHROBLAST, CellClass.LYMPHOCYTE])
    bench.fill("U", [CellClass.PLATELET])
    bench.call(MONOCYTE, ids[0], ids[1])
    bench.call(UNIDENTIFIED, ids[4])
    bench.call(ReviewClass.ERYTHROBLAST, ids[5])
    bench.call(IG, ids[0])
    bench.call(None, ids[1])

    with bench.database.reading() as connection:
        differential = connection.execute(text("SELECT * FROM slide_differential")).mappings().all()
        summary = connection.execute(text("SELECT * FROM slide_summary")).mappings().all()
        calls = connection.execute(text("SELECT * FROM reviewed_calls ORDER BY image_id")).mappings().all()
    for row in differential:
        for name, prefix in ((Calls.AUTOMATIC, ""), (Calls.REVIEWED, "reviewed_")):
            result = report(counts.slide_tally(bench.database, row["slide"], calls=name), CountSettings())
            percents = {line.cell_class: line.percent for line in result.differential}
            assert row[f"{prefix}count"] == result.cells[CellClass(row["class"])], (row, name)
            assert row[f"{prefix}percent"] == percents.get(CellClass(row["class"])), (row, name)
    for row in summary:
        result = report(counts.slide_tally(bench.database, row["slide"], calls=Calls.REVIEWED), CountSettings())
        assert (
            row["reviewed_wbc_counted"], row["reviewed_platelets"], row["reviewed_unidentified"],
            row["reviewed_nrbc_per_100_wbc"],
        ) == (result.wbc_counted, result.platelets, result.unidentified, result.nrbc_per_100_wbc)  # fmt: skip
    assert {row["slide"]: row["reviewed_cells"] for row in summary} == {"S": 3, "T": 0, "U": 0}
    for row in calls:
        found = cell(bench.database, row["image_id"])
        effective = ReviewClass(row["cell_class"]) if row["identified"] else UNIDENTIFIED
        assert (effective, row["review_id"], row["reviewer"]) == (found.effective, found.review_id, found.reviewer)
        assert found.automatic is not None
        assert row["automatic_class"] == found.automatic.cell_class
    assert len(calls) == 10
