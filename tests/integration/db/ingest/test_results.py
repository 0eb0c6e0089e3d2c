"""The worker's side of the database: attempts are counted, results are stored once, whatever is delivered again."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownSlide
from smearcount.db.ingest import completion, journal, results, retry
from smearcount.db.ingest.visibility import NOT_HERE, OTHER_COPY
from smearcount.db.queries import counts
from smearcount.db.queries.images import image_lines
from smearcount.db.records import ImageLine, NotVisible, Outcome, Refusal, Refused, WorkItem
from smearcount.db.schema import ImageState
from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.inbox.mounts import Mounts
from smearcount.inbox.versions import FileVersion

from support.journalling import MODEL, NEWER_MODEL, begin, classified, new_inbox, seen, sha256, take

BAD = Refusal("not-an-image", "no JPEG")


@pytest.fixture
def inbox(database: Database) -> int:
    """An inbox with three images of slide S, all queued."""
    inbox_id = new_inbox(database)
    journal.record(database, inbox_id, [seen(f"S/{name}.jpg") for name in "abc"])
    return inbox_id


def start(database: Database, inbox: int) -> list[WorkItem]:
    """Queue and begin with everything."""
    return begin(database, take(database, inbox))


def line(database: Database, path: str) -> ImageLine:
    """What is known of the current version of a file."""
    (found,) = [one for one in image_lines(database) if one.path == path]
    return found


def test_beginning_counts_an_attempt_and_says_where_the_file_is(database: Database, inbox: int) -> None:
    items = start(database, inbox)

    assert [(item.root, item.path, item.version, item.attempts) for item in items] == [
        ("/inbox", f"S/{name}.jpg", FileVersion(100, 1), 1) for name in "abc"
    ]
    again = results.begin(database, [item.image_id for item in items])
    assert [item.attempts for item in again] == [2, 2, 2]


def test_only_images_never_begun_with_are_begun_with_together(database: Database, inbox: int) -> None:
    batches = take(database, inbox)
    ids = [image_id for batch in batches for image_id in batch.image_ids]
    results.begin(database, ids[:1])

    fresh, tried_before = results.begin_fresh(database, ids)

    assert [(item.image_id, item.attempts) for item in fresh] == [(ids[1], 1), (ids[2], 1)]
    assert [(item.image_id, item.attempts) for item in tried_before] == [(ids[0], 1)]
    assert [one.attempts for one in image_lines(database)] == [1, 1, 1], "each attempt is written down, once"
    assert results.begin_fresh(database, ids)[0] == [], "the next worker begins with none of them"


def test_an_attempt_that_was_not_the_images_fault_is_taken_back(database: Database, inbox: int) -> None:
    ids = [item.image_id for item in start(database, inbox)]

    results.give_up_attempt(database, ids)
    assert [one.attempts for one in image_lines(database)] == [0, 0, 0]
    results.give_up_attempt(database, ids)
    assert [one.attempts for one in image_lines(database)] == [0, 0, 0], "never fewer than none"


def test_storing_the_same_results_again_changes_nothing(database: Database, inbox: int) -> None:
    items = start(database, inbox)
    outcomes: list[Outcome] = [
        classified(items[0].image_id, "a"),
        classified(items[1].image_id, "a"),
        Refused(items[2].image_id, BAD, sha256("c")),
    ]
    results.store(database, MODEL, "bench", outcomes)
    once = image_lines(database)

    results.store(database, MODEL, "other", outcomes)
    results.store(database, NEWER_MODEL, "other", list(reversed(outcomes)))

    assert image_lines(database) == once
    assert [one.state for one in once] == [ImageState.DONE, ImageState.DUPLICATE, ImageState.QUARANTINED]
    assert results.begin(database, [item.image_id for item in items]) == []
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM classifications")).scalar_one() == 1


def test_a_result_names_its_model_time_and_worker(database: Database, inbox: int) -> None:
    (item, *_) = start(database, inbox)
    results.store(database, MODEL, "bench-7", [classified(item.image_id, "a", CellClass.BASOPHIL, confidence=0.75)])

    with database.reading() as connection:
        row = connection.execute(
            text(
                "SELECT c.cell_class, c.confidence, c.worker, m.sha256, m.preprocessing, m.threshold, c.classified_at "
                "FROM classifications c JOIN models m ON m.id = c.model_id"
            )
        ).one()
    assert tuple(row[:6]) == ("basophil", 0.75, "bench-7", MODEL.sha256, MODEL.preprocessing, MODEL.threshold)
    assert line(database, "S/a.jpg").finished_at is not None


def test_the_same_bytes_in_one_slide_count_once_and_in_another_again(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen("S/a.jpg"), seen("S/b.jpg"), seen("T/a.jpg")])
    batches = take(database, inbox)
    for batch in batches:
        items = results.begin(database, batch.image_ids)
        results.store(database, MODEL, "bench", [classified(item.image_id, "same") for item in items])

    assert line(database, "S/b.jpg").duplicate_of == "S/a.jpg"
    assert counts.slide_tally(database, "S").cells[CellClass.NEUTROPHIL] == 1
    assert counts.slide_tally(database, "T").cells[CellClass.NEUTROPHIL] == 1


def test_a_later_batch_finds_the_bytes_counted_before(database: Database, inbox: int) -> None:
    for item in start(database, inbox):
        results.store(database, MODEL, "bench", [classified(item.image_id, "same")])

    tally = counts.slide_tally(database, "S")
    assert (tally.cells[CellClass.NEUTROPHIL], tally.duplicates) == (1, 2)


def test_an_image_superseded_while_it_was_classified_is_not_counted(database: Database, inbox: int) -> None:
    items = start(database, inbox)
    journal.record(database, inbox, [seen("S/a.jpg", size=5)])

    results.store(database, MODEL, "bench", [classified(item.image_id, item.path) for item in items])

    tally = counts.slide_tally(database, "S")
    assert (tally.cells[CellClass.NEUTROPHIL], tally.pending) == (2, 1)


def test_an_image_that_a_machine_does_not_show_is_pending_again_at_once(database: Database, inbox: int) -> None:
    first, second, third = start(database, inbox)
    unseen = [NotVisible(first.image_id, NOT_HERE, "not there"), NotVisible(second.image_id, OTHER_COPY, "older")]
    results.store(database, MODEL, "bench", [*unseen, classified(third.image_id, "c")])

    for path, code, reason in (("S/a.jpg", NOT_HERE, "not there"), ("S/b.jpg", OTHER_COPY, "older")):
        found = line(database, path)
        assert (found.state, found.attempts) == (ImageState.PENDING, 0)
        assert (found.reason_code, found.reason) == (code, reason)
    (batch,) = take(database, inbox)
    assert batch.image_ids == batch.not_visible == (first.image_id, second.image_id)

    assert [item.attempts for item in results.begin(database, batch.image_ids)] == [1, 1]
    results.store(database, MODEL, "bench", unseen[:1])
    assert [batch.image_ids for batch in take(database, inbox)] == [(first.image_id,)]
    results.begin(database, [first.image_id])
    results.store(database, MODEL, "bench", [classified(first.image_id, "a")])
    assert (line(database, "S/a.jpg").reason, line(database, "S/a.jpg").reason_code) == (None, None)


def test_what_another_worker_has_counted_meanwhile_stays(database: Database, inbox: int) -> None:
    (item, *_) = start(database, inbox)
    results.begin(database, [item.image_id])
    results.store(database, MODEL, "bench", [classified(item.image_id, "a")])

    results.store(database, MODEL, "blind", [NotVisible(item.image_id, NOT_HERE, "not there")])

    assert (line(database, "S/a.jpg").state, line(database, "S/a.jpg").reason) == (ImageState.DONE, None)


def test_each_machine_looks_for_an_inbox_where_it_is_mounted(database: Database) -> None:
    ward, icu = new_inbox(database, "ward"), new_inbox(database, "icu")
    for one in (ward, icu):
        journal.record(database, one, [seen("S/a.jpg")])
    ids = [image_id for one in (ward, icu) for batch in take(database, one) for image_id in batch.image_ids]

    def roots(mounts: Mounts) -> list[str]:
        return [item.root for item in results.begin(database, ids, mounts)]

    assert roots(Mounts()) == ["ward", "icu"], "at its watcher's path"
    assert roots(Mounts({"icu": "/mnt/icu"})) == ["ward", "/mnt/icu"]
    assert roots(Mounts({"icu": "/mnt/icu"}, "/mnt/all")) == ["/mnt/all", "/mnt/icu"]
    assert [item.root for item in results.begin_fresh(database, ids, Mounts(elsewhere="/mnt"))[1]] == ["/mnt"] * 2


def test_a_worker_is_told_the_checksum_of_the_bytes_that_were_read_first(database: Database, inbox: int) -> None:
    journal.record(database, inbox, [replace(seen("S/hashed.jpg"), sha256=sha256("hashed"))])

    items = {item.path: item.sha256 for item in start(database, inbox)}

    assert items == {"S/a.jpg": None, "S/b.jpg": None, "S/c.jpg": None, "S/hashed.jpg": sha256("hashed")}


def test_results_that_fail_half_way_leave_nothing(database: Database, inbox: int) -> None:
    items = start(database, inbox)
    broken = classified(items[1].image_id, "b", confidence=None)  # type: ignore[arg-type]

    with pytest.raises(Exception, match=r"(?i)null"):
        results.store(database, MODEL, "bench", [classified(items[0].image_id, "a"), broken])

    assert {one.state for one in image_lines(database)} == {ImageState.QUEUED}
    assert counts.slide_tally(database, "S").models == ()


def test_two_workers_with_the_same_bytes_at_once_count_them_once(database: Database) -> None:
    inbox = new_inbox(database)
    journal.record(database, inbox, [seen(f"S/{i}.jpg") for i in range(40)])
    items = start(database, inbox)
    gate = threading.Barrier(4)
    trouble: list[Exception] = []

    def work(mine: list[WorkItem]) -> None:
        gate.wait()
        try:
            for item in mine:
                results.store(database, MODEL, "bench", [classified(item.image_id, f"content {item.image_id % 5}")])
        except Exception as error:  # noqa: BLE001 (shown by the test)
            trouble.append(error)

    threads = [threading.Thread(target=work, args=(items[n::4],)) for n in range(3)]
    threads.append(threading.Thread(target=work, args=(list(reversed(items)),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert trouble == []
    tally = counts.slide_tally(database, "S")
    assert (tally.cells[CellClass.NEUTROPHIL], tally.duplicates, tally.pending) == (5, 35, 0)
    assert len(tally.models) == 1


def test_retry_gives_quarantined_images_another_chance(database: Database, inbox: int) -> None:
    items = start(database, inbox)
    journal.record(database, inbox, [seen("loose.jpg", refusal=Refusal("no-slide", "reason"))])
    results.store(database, MODEL, "bench", [Refused(item.image_id, BAD) for item in items])
    completion.complete_slides(database, inbox, quiet=timedelta(0))

    with pytest.raises(UnknownSlide, match="T"):
        counts.find_slide_id(database, "T")
    slide_id = counts.find_slide_id(database, "S")
    for unknown in (slide_id + 1, 2**63):
        with pytest.raises(UnknownSlide, match=f"there is no slide {unknown}"):
            retry.retry(database, slide_id=unknown)
    assert retry.retry(database, slide_id=slide_id) == retry.Retried(3)

    tally = counts.slide_tally(database, "S")
    assert (tally.pending, tally.quarantined, tally.completed_at) == (3, 0, None)
    assert [item.attempts for item in start(database, inbox)] == [1, 1, 1]
    assert line(database, "loose.jpg").state is ImageState.QUARANTINED
    assert retry.retry(database) == retry.Retried(0)


def test_times_come_back_in_utc(database: Database, inbox: int) -> None:
    (item, *_) = start(database, inbox)
    results.store(database, MODEL, "bench", [classified(item.image_id, "a")])
    found = line(database, "S/a.jpg")

    for moment in (found.seen_at, found.finished_at):
        assert moment is not None
        assert moment.tzinfo is UTC
        assert abs(datetime.now(UTC) - moment) < timedelta(minutes=30)


def test_beginning_leaves_postgresqls_rows_where_they_are(postgresql_database: Database) -> None:
    # A row that moves to another page is entered anew in every index; beginning is meant to spare them.
    inbox_id = new_inbox(postgresql_database)
    journal.record(postgresql_database, inbox_id, [seen(f"S/{number}.jpg") for number in range(500)])
    queued = take(postgresql_database, inbox_id)
    pages = text("SELECT id, (ctid::text::point)[0] FROM images ORDER BY id")
    with postgresql_database.reading() as connection:
        before = connection.execute(pages).all()

    begin(postgresql_database, queued)

    with postgresql_database.reading() as connection:
        after = connection.execute(pages).all()
    moved = sum(one != other for one, other in zip(before, after, strict=True))
    assert moved < 50, "a page may be a few bytes short, but with full pages all rows move"


def test_postgresql_looks_up_rows_by_their_keys_also_after_it_planned_for_a_small_table(
    postgresql_database: Database,
) -> None:
    # A plan is kept: one that reads the whole table, made for the first cells, would slow down the thousands after them.
    inbox_id = new_inbox(postgresql_database)
    for number in range(12):
        journal.record(postgresql_database, inbox_id, [seen(f"S/{number}.jpg")])
        for item in begin(postgresql_database, take(postgresql_database, inbox_id)):
            results.store(postgresql_database, MODEL, "w", [classified(item.image_id, f"{number}")])

    kept = "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements WHERE generic_plans > 0"
    plans: dict[str, str] = {}
    with postgresql_database.writing() as connection:
        for name, statement, parameters in connection.execute(text(kept)).all():
            nothing = f"({', '.join(['NULL'] * parameters)})" if parameters else ""
            plan = connection.exec_driver_sql(f"EXPLAIN EXECUTE {name} {nothing}").scalars()
            plans[statement] = "\n".join(plan)
    assert sum("UPDATE images" in statement for statement in plans) >= 2
    assert [statement for statement, plan in plans.items() if "Seq Scan" in plan] == []


def test_the_same_weights_under_another_card_are_another_model(database: Database, inbox: int) -> None:
    def models_after(model: ModelUsed, item: WorkItem) -> list[tuple[str, str, str]]:
        results.store(database, model, "bench", [classified(item.image_id, item.path)])
        with database.reading() as connection:
            rows = connection.execute(text("SELECT sha256, card_sha256, weights_sha256 FROM models ORDER BY id"))
            return [tuple(row) for row in rows]

    def with_card(card: str) -> ModelUsed:
        return replace(MODEL, sha256=card, card_sha256=card, weights_sha256="a" * 64)

    first, second, third = start(database, inbox)
    one = [("c" * 64, "c" * 64, "a" * 64)]
    assert models_after(with_card("c" * 64), first) == one
    assert models_after(with_card("c" * 64), second) == one
    # For instance with another limit of the OOD score, or with two outputs exchanged.
    assert models_after(with_card("d" * 64), third) == [*one, ("d" * 64, "d" * 64, "a" * 64)]
