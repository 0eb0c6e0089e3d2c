"""Lists of slides: complete, in order, page by page, with both tallies; and which slides have changed."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update

from smearcount.db.audit.chain import append
from smearcount.db.engine.database import Database
from smearcount.db.errors import UnknownPage, UnknownSlide
from smearcount.db.ingest import journal, results
from smearcount.db.queries import changes, counts
from smearcount.db.queries.slides import SlideFilter, SlideSort, slide, slide_page, slide_pages
from smearcount.db.review.sign_off import comment, reopen
from smearcount.db.schema import ReviewRow, Slide
from smearcount.differential.classes import CellClass
from smearcount.differential.status import Status
from smearcount.differential.tally import Calls

from support.examples import examples
from support.journalling import MODEL, begin, classified, count_cells, new_inbox, seen, take
from support.reviewing import IG, MONOCYTE, Bench, sign

EVERYTHING = SlideFilter()


@pytest.fixture
def bench(database: Database) -> Bench:
    """A laboratory with nothing in it."""
    return Bench(database)


@pytest.fixture
def many(bench: Bench) -> Bench:
    """A laboratory with 23 slides of one cell, some of which came at the same moment."""
    for number in range(23):
        bench.fill(f"S-{number:02}", [CellClass.NEUTROPHIL])
    bench.complete()
    with bench.database.writing() as connection:
        for number in range(23):
            # Three slides each moment.
            at = datetime(2026, 3, 1, 8, number // 3, tzinfo=UTC)
            connection.execute(update(Slide).where(Slide.name == f"S-{number:02}").values(first_image_at=at))
    return bench


def names(
    bench: Bench, where: SlideFilter = EVERYTHING, sort: SlideSort = SlideSort.NEWEST, limit: int = 50
) -> list[str]:
    """Names of all slides of a list, read page by page."""
    return [one.name for page in slide_pages(bench.database, where, sort=sort, limit=limit) for one in page.slides]


@pytest.mark.parametrize("sort", SlideSort)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 22, 23, 24])
def test_pages_of_any_length_put_together_are_the_whole_list(many: Bench, sort: SlideSort, limit: int) -> None:
    whole = names(many, sort=sort)

    assert names(many, sort=sort, limit=limit) == whole
    is_backwards = sort in {SlideSort.NEWEST, SlideSort.NAME_BACKWARDS}
    assert whole == sorted(whole, reverse=is_backwards)
    assert len(whole) == 23


def test_slides_that_come_meanwhile_shift_no_page(many: Bench) -> None:
    first = slide_page(many.database, EVERYTHING, limit=10)
    many.fill("newer", [CellClass.IG])

    second = slide_page(many.database, EVERYTHING, after=first.next, limit=10)

    assert [one.name for one in first.slides + second.slides] == [f"S-{number:02}" for number in range(22, 2, -1)]


def test_an_exactly_full_last_page_names_no_next(many: Bench) -> None:
    assert slide_page(many.database, EVERYTHING, limit=23).next is None
    assert slide_page(many.database, SlideFilter(text="nothing")).next is None
    with pytest.raises(ValueError, match="at least one line"):
        slide_page(many.database, EVERYTHING, limit=0)


def test_both_tallies_and_the_state_of_each_slide_are_told(bench: Bench) -> None:
    ids = bench.fill("S", [CellClass.NEUTROPHIL, CellClass.NEUTROPHIL, None])
    bench.complete()
    bench.fill("T", [CellClass.IG])
    (review,) = bench.call(MONOCYTE, ids[0])

    by_name = {one.name: one for one in slide_page(bench.database, EVERYTHING).slides}

    for name in ("S", "T"):
        assert by_name[name].automatic == counts.slide_tally(bench.database, name, calls=Calls.AUTOMATIC)
        assert by_name[name].reviewed == counts.slide_tally(bench.database, name, calls=Calls.REVIEWED)
        assert by_name[name] == slide(bench.database, by_name[name].id)
    assert (by_name["S"].status, by_name["T"].status) == (Status.COMPLETE, Status.COUNTING)
    assert (by_name["S"].reviewed_cells, by_name["S"].last_review_id) == (1, review.id)
    assert (by_name["T"].reviewed_cells, by_name["T"].last_review_id) == (0, None)
    assert by_name["S"].reviewed.cells[CellClass.MONOCYTE] == 1
    assert by_name["S"].inbox == "/inbox"


def test_slides_can_be_asked_for_by_status(bench: Bench) -> None:
    for name in ("signed", "complete", "reopened", "changed"):
        bench.fill(name, [CellClass.NEUTROPHIL])
    bench.complete()
    for name in ("signed", "reopened", "changed"):
        sign(bench.database, bench.slide_id(name), reviewer="Ada")
    reopen(bench.database, bench.slide_id("reopened"), reviewer="Ada", reason="why")
    count_cells(bench.database, bench.inbox, [("changed/late.jpg", "late", CellClass.IG, True)])
    bench.complete()
    bench.fill("counting", [CellClass.NEUTROPHIL])

    found = {status: set(names(bench, SlideFilter(status=status), limit=1)) for status in Status}

    assert found == {
        Status.COUNTING: {"counting"},
        Status.COMPLETE: {"complete", "reopened", "changed"},
        Status.SIGNED: {"signed"},
    }


def test_slides_can_be_asked_for_by_time_text_inbox_and_number(many: Bench) -> None:
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    elsewhere = new_inbox(many.database, "/clinic")
    journal.record(many.database, elsewhere, [seen("Müller_%1/a.jpg")])

    assert names(many, SlideFilter(since=start, until=start + timedelta(minutes=1))) == ["S-02", "S-01", "S-00"]
    assert names(many, SlideFilter(until=start)) == []
    assert names(many, SlideFilter(text="s-1")) == [f"S-{number}" for number in range(19, 9, -1)]
    assert names(many, SlideFilter(text="_%")) == ["Müller_%1"]
    assert names(many, SlideFilter(text="%")) == ["Müller_%1"]
    assert names(many, SlideFilter(text="Mü")) == ["Müller_%1"]
    assert names(many, SlideFilter(inbox="/clinic")) == ["Müller_%1"]
    assert names(many, SlideFilter(inbox="/nowhere")) == []
    wanted = [many.slide_id("S-03"), many.slide_id("S-07"), 10**9, -5, 2**70]
    assert names(many, SlideFilter(ids=wanted)) == ["S-07", "S-03"]
    assert names(many, SlideFilter(ids=[])) == []
    assert names(many, SlideFilter(text="S-0", ids=wanted, since=start + timedelta(minutes=2))) == ["S-07"]


def test_text_that_no_database_can_hold_finds_nothing(many: Bench) -> None:
    for impossible in ("\0", "S\0", "\udcff"):
        assert names(many, SlideFilter(text=impossible)) == []
        assert names(many, SlideFilter(inbox=impossible)) == []


def test_unknown_slides_are_refused(many: Bench) -> None:
    for unknown in (0, -1, 10**6, 2**63, 10**40):
        with pytest.raises(UnknownSlide, match=f"no slide {unknown}"):
            slide(many.database, unknown)


@settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(after=st.text(max_size=80) | st.binary(max_size=60).map(lambda raw: raw.hex()), sort=st.sampled_from(SlideSort))
def test_no_text_can_be_mistaken_for_a_page(sqlite_database: Database, after: str, sort: SlideSort) -> None:
    with pytest.raises(UnknownPage, match="begin at the first page"):
        slide_page(sqlite_database, EVERYTHING, sort=sort, after=after)


@pytest.mark.parametrize(
    "said",
    [
        "null", "[]", '["newest"]', '["newest", "x", 1]', '["newest", 1.5, 1]', '["newest", "2026-03-01T08:00:00+00:00"]',
        '["newest", "2026-03-01T08:00:00", 1]',  # a time without its zone
        '["newest", "2026-03-01T08:00:00+00:00", 9223372036854775808]', '["newest", "2026-03-01T08:00:00+00:00", true]',
        '["name", "\\u0000", 1]', '["name", "\\ud800", 1]', '["name", 1, 1]', "[" * 100_000,
    ],
)  # fmt: skip
def test_pages_that_nobody_named_are_refused(database: Database, said: str) -> None:
    after = base64.urlsafe_b64encode(said.encode()).decode()
    for sort in SlideSort:
        with pytest.raises(UnknownPage):
            slide_page(database, EVERYTHING, sort=sort, after=after)


def test_a_page_belongs_to_its_order(many: Bench) -> None:
    page = slide_page(many.database, EVERYTHING, limit=3)

    with pytest.raises(UnknownPage, match="sort as before"):
        slide_page(many.database, EVERYTHING, sort=SlideSort.OLDEST, after=page.next, limit=3)


def test_the_number_of_queries_does_not_depend_on_the_slides(many: Bench) -> None:
    queries: list[str] = []
    event.listen(many.database.engine, "before_cursor_execute", lambda *call: queries.append(call[2]))

    slide_page(many.database, EVERYTHING, limit=1)
    for_one = len(queries)
    slide_page(many.database, EVERYTHING, limit=23)

    assert len(queries) - for_one == for_one < 10


def test_times_come_back_with_their_zone(many: Bench) -> None:
    for one in slide_page(many.database, EVERYTHING).slides:
        assert one.first_image_at.utcoffset() == timedelta(0)


class _Watch:
    """Somebody who looks at the changes."""

    def __init__(self, database: Database) -> None:
        """Begin now."""
        self._database = database
        self._marker = changes.latest(database)

    def changed(self) -> list[int]:
        """Return what changed since the last time."""
        self._marker, found = changes.changed_slides(self._database, self._marker)
        return [change.slide_id for change in found]


def test_every_change_of_a_slide_is_noticed_once(bench: Bench) -> None:
    bench.fill("other", [CellClass.NEUTROPHIL])
    watch = _Watch(bench.database)
    assert watch.changed() == []

    def steps() -> Iterator[str]:
        journal.record(bench.database, bench.inbox, [seen("S/a.jpg")])
        yield "images came"
        (item,) = begin(bench.database, take(bench.database, bench.inbox))
        results.store(bench.database, MODEL, "bench", [classified(item.image_id, "a")])
        yield "images were classified"
        bench.complete()
        yield "it was completed"
        bench.call(MONOCYTE, item.image_id)
        yield "it was reviewed"
        sign(bench.database, bench.slide_id("S"), reviewer="Ada")
        yield "it was signed"
        comment(bench.database, bench.slide_id("S"), reviewer="Ada", text="text")
        yield "it was commented on"
        reopen(bench.database, bench.slide_id("S"), reviewer="Ada", reason="why")
        yield "it was reopened"
        journal.record(bench.database, bench.inbox, [seen("S/b.jpg")])
        yield "a late image came"

    for what in steps():
        found = watch.changed()
        assert bench.slide_id("S") in found, what
        assert watch.changed() == [], what


def test_a_change_tells_whether_people_alone_made_it_and_up_to_what(bench: Bench) -> None:
    (first, second) = bench.fill("S", [CellClass.NEUTROPHIL] * 2)
    bench.complete()
    slide_id = bench.slide_id("S")
    marker = changes.latest(bench.database)

    def changed() -> list[changes.SlideChange]:
        nonlocal marker
        marker, found = changes.changed_slides(bench.database, marker)
        return found

    bench.call(MONOCYTE, first)
    bench.call(MONOCYTE, second)
    assert changed() == [changes.SlideChange(slide_id, has_new_images=False, last_review_id=2, last_event_id=0)]
    comment(bench.database, slide_id, reviewer="Ada", text="text")
    assert changed() == [changes.SlideChange(slide_id, has_new_images=False, last_review_id=2, last_event_id=1)]
    # A review does not hide that an image came at the same moment.
    bench.call(IG, first)
    journal.record(bench.database, bench.inbox, [seen("S/late.jpg")])
    assert changed() == [changes.SlideChange(slide_id, has_new_images=True, last_review_id=3, last_event_id=1)]


def test_what_is_committed_late_with_an_earlier_time_is_noticed(bench: Bench) -> None:
    """A transaction takes its time before it waits for locks; another one may be seen before it."""
    (image_id,) = bench.fill("S", [CellClass.NEUTROPHIL])
    bench.fill("T", [CellClass.NEUTROPHIL])
    bench.complete()
    watch = _Watch(bench.database)

    with bench.database.writing(durable=True) as connection:
        row = {
            "action": "a", "image_id": image_id, "slide_id": bench.slide_id("S"), "cell_class": "ig",
            "was": "neutrophil", "reviewer": "Ada", "reviewed_at": datetime.now(UTC) - timedelta(seconds=20),
        }  # fmt: skip
        append(connection, ReviewRow, [row])

    assert watch.changed() == [bench.slide_id("S")]


def test_a_marker_that_looks_back_far_lets_go_and_misses_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_LONGEST_LOOK", timedelta(0))
    (image_id,) = bench.fill("S", [CellClass.NEUTROPHIL])
    watch = _Watch(bench.database)
    assert watch.changed() == []

    bench.call(MONOCYTE, image_id)

    assert watch.changed() == [bench.slide_id("S")]
    assert watch.changed() == []
