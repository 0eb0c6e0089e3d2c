"""What people did is only added to, and whoever changes it all the same is found out."""

import threading
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text

from smearcount.db.audit.chain import append
from smearcount.db.audit.guards import missing_guards, restore_guards
from smearcount.db.audit.verification import Audit, Break, Link, verify
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.migration import migrate
from smearcount.db.review.records import Change
from smearcount.db.review.reviews import reclassify, undo
from smearcount.db.review.sign_off import comment
from smearcount.db.schema import ReviewRow, SlideEventRow
from smearcount.differential.classes import CellClass

from support.backing import make_as_of, unguarded, url_of
from support.reviewing import IG, MONOCYTE, Bench
from support.waiting import PATIENCE


@pytest.fixture
def bench(database: Database) -> Bench:
    """Two slides about which two people have said something: eight rows in the chain, reviews 1-4 and events 1-4."""
    made = Bench(database)
    first = made.fill("S", [CellClass.NEUTROPHIL] * 3)
    made.fill("T", [CellClass.NEUTROPHIL] * 3)
    made.complete()
    made.call(IG, *first[:2], reason="bands")
    comment(database, made.slide_id("S"), reviewer="Ada", text="left shift?")
    made.call(MONOCYTE, first[2], reviewer="Ben")
    comment(database, made.slide_id("T"), reviewer="Ben", text="clumped")
    undo(database, made.slide_id("S"), reviewer="Ben")
    comment(database, made.slide_id("S"), reviewer="Ada", text="ünïcödé 𝄞 \"'\\")
    comment(database, made.slide_id("S"), reviewer="Cem", text="plausible")
    return made


def the_break(found: Audit) -> Break:
    assert not found.holds
    assert found.broken == 1, found.breaks
    return found.breaks[0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE slide_events SET text = 'all well'",
        "UPDATE reviews SET reviewer = 'Ben' WHERE id = 1",
        "UPDATE reviews SET chain_hash = NULL",
        "DELETE FROM reviews",
        "DELETE FROM slide_events WHERE id = 4",
        "DELETE FROM audit_chain",
        "UPDATE audit_chain SET position = 3",
    ],
)
def test_what_people_did_is_not_changed_by_mistake(bench: Bench, statement: str) -> None:
    with pytest.raises(DatabaseError, match="only added"), bench.database.writing() as connection:
        connection.execute(text(statement))
    assert verify(bench.database).holds


@pytest.mark.parametrize("table", ["reviews", "slide_events", "audit_chain"])
def test_no_table_is_emptied(bench: Bench, table: str) -> None:
    emptied = f"DELETE FROM {table}" if bench.database.file is not None else f"TRUNCATE {table} CASCADE"  # noqa: S608
    with pytest.raises(DatabaseError, match="only added"), bench.database.writing() as connection:
        connection.execute(text(emptied))


def test_no_row_replaces_another(bench: Bench) -> None:
    if bench.database.file is None:
        replaced = "INSERT INTO {0} SELECT * FROM {0} WHERE id = {1} ON CONFLICT (id) DO UPDATE SET {2} = 'Eve'"
    else:
        replaced = "INSERT OR REPLACE INTO {0} SELECT * FROM {0} WHERE id = {1}"
    for table, row in (("reviews", 4), ("slide_events", 1)):
        with pytest.raises(DatabaseError, match="only added"), bench.database.writing() as connection:
            connection.execute(text(replaced.format(table, row, "reviewer")))
    assert verify(bench.database).holds


def test_a_version_that_knows_no_chain_adds_nothing_to_it(bench: Bench) -> None:
    with pytest.raises(DatabaseError, match="needs a hash"), bench.database.writing() as connection:
        connection.execute(text("INSERT INTO slide_events (slide_id, kind, reviewer, at) "
                                "VALUES (1, 'comment', 'Ada', CURRENT_TIMESTAMP)"))  # fmt: skip


def test_guards_that_are_missing_are_noticed_and_made_again(bench: Bench) -> None:
    database = bench.database
    assert missing_guards(database) == []
    with database.writing() as connection:
        if database.file is None:
            connection.execute(text("DROP FUNCTION smearcount_append_only CASCADE"))
        else:
            connection.execute(text("DROP TRIGGER reviews_not_changed"))
            connection.execute(text("DROP TRIGGER reviews_hashed"))
    missing = missing_guards(database)
    assert {"reviews_not_changed", "reviews_hashed"} <= set(missing)

    assert restore_guards(database) == missing

    assert missing_guards(database) == []
    with pytest.raises(DatabaseError, match="only added"), database.writing() as connection:
        connection.execute(text("UPDATE reviews SET reviewer = 'Eve'"))


def test_guards_that_are_disabled_work_again(postgresql_database: Database) -> None:
    with postgresql_database.writing() as connection:
        connection.execute(text("ALTER TABLE reviews DISABLE TRIGGER ALL"))
    assert missing_guards(postgresql_database)
    restore_guards(postgresql_database)
    assert missing_guards(postgresql_database) == []


def test_the_chain_holds_and_names_its_head(bench: Bench) -> None:
    percents: list[int] = []
    found = verify(bench.database, progress=percents.append)

    assert found.holds
    assert (found.reviews, found.slide_events, found.before_the_chain) == (4, 4, 0)
    assert found.head is not None
    assert found.head.position == 8
    assert Link.parse(str(found.head)) == found.head
    assert percents[-1] == 100

    comment(bench.database, bench.slide_id("T"), reviewer="Ada", text="later")
    assert verify(bench.database, noted=found.head).holds, "a head that was noted earlier stays good"


def _sql(*statements: str) -> list[str]:
    return list(statements)


@pytest.mark.parametrize(
    ("statements", "table", "row", "slide", "says"),
    [
        (_sql("UPDATE reviews SET reviewer = 'Eve' WHERE id = 2"), "reviews", 2, "S", "not as it was stored"),
        (_sql("UPDATE reviews SET cell_class = NULL WHERE id = 1"), "reviews", 1, "S", "not as it was stored"),
        (_sql("UPDATE slide_events SET text = 'fine' WHERE id = 2"), "slide_events", 2, "T", "not as it was stored"),
        (_sql("UPDATE slide_events SET text = 'plausible.' WHERE id = 4"), "slide_events", 4, "S", "not as it was"),
        (_sql("UPDATE slide_events SET slide_id = 2 WHERE id = 1"), "slide_events", 1, "T", "not as it was stored"),
        (
            _sql("UPDATE reviews SET reviewed_at = '2020-01-01 00:00:00.000000+00' WHERE id = 3"),
            "reviews", 3, "S", "not as it was stored",
        ),
        (_sql("DELETE FROM slide_events WHERE id = 2"), "reviews", 4, "S", "the row before it is missing"),
        (_sql("DELETE FROM reviews WHERE id = 1", "DELETE FROM slide_events WHERE slide_id = 2"), None, 0, "", ""),
        (_sql("DELETE FROM slide_events WHERE id IN (3, 4)"), None, None, None, "the newest 2 rows are missing"),
        (
            _sql("INSERT INTO slide_events (id, slide_id, kind, reviewer, at) "
                 "VALUES (9, 1, 'comment', 'Eve', '2026-01-01 00:00:00.000000+00')"),
            "slide_events", 9, "S", "carries no hash",
        ),
        (_sql("UPDATE audit_chain SET hash = beginning"), None, None, None, "is not that of its newest row"),
        (_sql("DELETE FROM audit_chain"), None, None, None, "head of the chain is missing"),
    ],
)  # fmt: skip
def test_who_changes_what_people_did_is_found_out(
    bench: Bench, statements: list[str], table: str | None, row: int | None, slide: str | None, says: str
) -> None:
    if bench.database.file is not None:
        statements = [statement.replace("+00'", "'") for statement in statements]
    with unguarded(bench.database) as connection:
        for statement in statements:
            connection.execute(text(statement))

    found = verify(bench.database)

    if row == 0:  # two places at once
        assert found.broken == 2
        assert [(one.table, one.id) for one in found.breaks] == [("reviews", 2), ("reviews", 4)]
        return
    broken = the_break(found)
    assert (broken.table, broken.id, broken.slide) == (table, row, slide)
    assert says in broken.what
    if table is not None:
        assert broken.at is not None
        assert broken.at.tzinfo is UTC
        assert broken.at < datetime.now(UTC)


def test_who_makes_the_chain_anew_is_found_out_by_a_noted_head(bench: Bench) -> None:
    noted = verify(bench.database).head
    assert noted is not None
    with unguarded(bench.database) as connection:
        connection.execute(text("DELETE FROM slide_events WHERE id = 4"))
        connection.execute(
            text("UPDATE audit_chain SET position = 7, hash = (SELECT chain_hash FROM slide_events WHERE id = 3)")
        )
    assert verify(bench.database).holds, "the chain alone cannot tell"
    assert "ends before the noted head" in the_break(verify(bench.database, noted=noted)).what

    comment(bench.database, bench.slide_id("S"), reviewer="Cem", text="not plausible")
    assert verify(bench.database).holds
    broken = the_break(verify(bench.database, noted=noted))
    assert (broken.position, "made anew" in broken.what) == (8, True)


@pytest.mark.parametrize("text_of_head", ["", "7", "7:abc", "x:" + "a" * 64, "7:" + "g" * 64, "-1:" + "a" * 64])
def test_what_is_no_head_is_refused(text_of_head: str) -> None:
    with pytest.raises(DatabaseError, match="no head of the chain; it looks like"):
        Link.parse(text_of_head)


def test_what_earlier_versions_stored_is_covered_by_the_beginning(bare_database: Database) -> None:
    make_as_of(bare_database, "0008")
    migrate(bare_database)
    found = verify(bare_database)
    assert found.holds
    assert (found.reviews, found.slide_events, found.before_the_chain) == (0, 0, 2)

    comment(bare_database, 1, reviewer="Ada", text="goes on")
    assert verify(bare_database).holds
    with unguarded(bare_database) as connection:
        connection.execute(text("UPDATE slide_events SET reviewer = 'Eve' WHERE reviewer = 'A. Lab'"))
    broken = the_break(verify(bare_database))
    assert (broken.position, broken.table) == (0, None)
    assert "stored before the chain began" in broken.what


def test_a_column_of_a_later_version_changes_no_hash(bench: Bench) -> None:
    with bench.database.writing() as connection:
        for table in ("reviews", "slide_events"):
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN of_the_future VARCHAR"))
    assert verify(bench.database).holds
    with unguarded(bench.database) as connection:
        connection.execute(text("UPDATE reviews SET of_the_future = 'x' WHERE id = 1"))
    assert the_break(verify(bench.database)).id == 1, "a value in it is covered as well"


def test_people_at_several_slides_at_once_make_one_chain(bench: Bench) -> None:
    database = bench.database
    slides = [bench.slide_id(name) for name in "ST"]
    start = threading.Barrier(4)
    trouble: list[BaseException] = []

    def say(number: int) -> None:
        try:
            with Database(url_of(database)) as own:
                start.wait(PATIENCE)
                for time in range(10):
                    comment(own, slides[number % 2], reviewer=f"R{number}", text=f"{time}")
        except BaseException as error:  # noqa: BLE001 (raised again by the test's own thread)
            trouble.append(error)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert not trouble, trouble
    found = verify(database)
    assert found.holds
    assert found.slide_events == 44


def test_many_cells_take_as_many_statements_as_two(bench: Bench) -> None:
    ids = bench.fill("U", [CellClass.NEUTROPHIL] * 120)
    statements: list[str] = []
    event.listen(bench.database.engine, "before_cursor_execute", lambda *said: statements.append(said[2]))

    counts = []
    for some in (ids[:2], ids[2:102]):
        statements.clear()
        reclassify(bench.database, [Change(one, IG, None) for one in some], reviewer="Ada")
        counts.append(len(statements))

    assert counts[0] == counts[1]
    assert verify(bench.database).holds


def test_rows_are_returned_in_their_order(bench: Bench) -> None:
    row = {
        "action": "a", "slide_id": 1, "cell_class": "ig", "was": "neutrophil", "reviewer": "Ada",
        "reviewed_at": datetime.now(UTC),
    }  # fmt: skip
    with bench.database.writing(durable=True) as connection:
        ids = append(connection, ReviewRow, [{**row, "image_id": image} for image in (3, 1, 2)])
        assert append(connection, SlideEventRow, []) == []
    with bench.database.reading() as connection:
        found = connection.execute(text("SELECT id, image_id FROM reviews ORDER BY id DESC LIMIT 3")).all()
    assert [tuple(one) for one in reversed(found)] == list(zip(ids, (3, 1, 2), strict=True))
