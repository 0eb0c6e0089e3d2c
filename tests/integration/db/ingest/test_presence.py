"""Files that vanish, cells that two slides count, and folders that are renamed, as the journal keeps them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from smearcount.db.engine.database import Database
from smearcount.db.ingest import completion, journal, presence
from smearcount.db.ingest.renames import follow_renames
from smearcount.db.queries import counts
from smearcount.db.queries.inboxes import deep_slides
from smearcount.db.queries.slides import SlideFilter, slide, slide_page
from smearcount.db.records import Journalled
from smearcount.db.review.lost_calls import WATCHER
from smearcount.db.review.sign_off import comment, slide_events
from smearcount.db.review.withdrawal import withdraw
from smearcount.db.schema import SlideEventKind
from smearcount.differential.classes import CellClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import Status

from support.journalling import count_cells, new_inbox, seen
from support.reviewing import IG, Bench, sign

SETTINGS = CountSettings()


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


def export(bench: Bench, folder: str, names: str = "abc", *, content: str = "cell") -> None:
    """Let files come into a folder, be counted and their slide be complete; the same names have the same bytes."""
    cells = [(f"{folder}/{name}.jpg", f"{content} {name}", CellClass.NEUTROPHIL, True) for name in names]
    count_cells(bench.database, bench.inbox, cells)


def vanish(bench: Bench, folder: str, names: str = "abc") -> list[int]:
    """Note files as missing, as the watcher does after a scan; return their slides."""
    known = journal.known_in_folder(bench.database, bench.inbox, folder)
    ids = [known[f"{name}.jpg"].image_id for name in names]
    return presence.note_missing(bench.database, bench.inbox, ids)


def complete(bench: Bench) -> int:
    """Complete slides, and follow what they show to be renamed, as the watcher does."""
    completed = completion.complete_slides(bench.database, bench.inbox, quiet=timedelta(0))
    return follow_renames(bench.database, bench.inbox, completed=completed)


def flags(bench: Bench, name: str) -> set[str]:
    codes = {flag.code for flag in slide_flags(counts.slide_tally(bench.database, name), SETTINGS)}
    return codes & {"mixed-exports", "same-cells-elsewhere"}


def names(bench: Bench) -> list[str]:
    return sorted(one.name for one in slide_page(bench.database, SlideFilter()).slides)


# Missing files


def test_a_slide_of_present_and_missing_images_is_flagged_until_the_files_are_back(bench: Bench) -> None:
    export(bench, "S", "abc")
    export(bench, "S", "xyz")
    complete(bench)
    assert flags(bench, "S") == set()

    vanish(bench, "S", "abc")

    tally = counts.slide_tally(bench.database, "S")
    assert (tally.cells[CellClass.NEUTROPHIL], tally.missing) == (6, 3), "what was counted stays counted"
    assert flags(bench, "S") == {"mixed-exports"}
    assert tally.completed_at is not None
    back = [seen(f"S/{name}.jpg") for name in "abc"]
    assert journal.record(bench.database, bench.inbox, back) == Journalled()
    assert counts.slide_tally(bench.database, "S").missing == 0
    assert flags(bench, "S") == set()


def test_a_slide_whose_files_are_all_gone_is_archived_and_no_error(bench: Bench) -> None:
    export(bench, "S")
    complete(bench)

    assert vanish(bench, "S") == [bench.slide_id("S")]
    assert vanish(bench, "S") == [], "it is known"

    assert counts.slide_tally(bench.database, "S").missing == 3
    assert flags(bench, "S") == set()


def test_a_missing_file_that_is_back_with_other_bytes_is_another_image(bench: Bench) -> None:
    export(bench, "S")
    vanish(bench, "S", "a")

    assert journal.record(bench.database, bench.inbox, [seen("S/a.jpg", mtime_ns=2)]) == Journalled(superseded=1)
    assert counts.slide_tally(bench.database, "S").missing == 0


def test_images_of_other_inboxes_and_superseded_ones_are_not_noted(bench: Bench) -> None:
    export(bench, "S")
    known = journal.known_in_folder(bench.database, bench.inbox, "S")
    journal.record(bench.database, bench.inbox, [seen("S/a.jpg", mtime_ns=2)])
    other = new_inbox(bench.database, "/other")

    assert presence.note_missing(bench.database, other, [file.image_id for file in known.values()]) == []
    assert presence.note_missing(bench.database, bench.inbox, [known["a.jpg"].image_id]) == []


def test_all_folders_of_an_inbox_are_found_however_many(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_FOLDERS_PER_QUERY", 3)
    folders = [f"S-{number}" for number in range(7)]
    files = [seen("top.jpg"), *(seen(f"{folder}/{name}.jpg") for folder in folders for name in "abc")]
    journal.record(bench.database, bench.inbox, files)
    journal.record(bench.database, new_inbox(bench.database, "/other"), [seen("T/a.jpg")])

    assert list(presence.journalled_folders(bench.database, bench.inbox)) == ["", *folders]


# Cells that two slides count


def test_slides_that_count_the_same_cells_are_both_flagged_unless_one_is_withdrawn(bench: Bench) -> None:
    export(bench, "S", "abc")
    complete(bench)
    export(bench, "T", "bcd")
    complete(bench)

    assert flags(bench, "S") == flags(bench, "T") == {"same-cells-elsewhere"}
    assert [counts.slide_tally(bench.database, name).shared for name in "ST"] == [2, 2]
    withdraw(bench.database, bench.slide_id("T"), reviewer="Ada", reason="exported twice")
    assert flags(bench, "S") == set()


def test_of_three_slides_with_the_same_cells_any_two_are_flagged(bench: Bench) -> None:
    for name in "STU":
        export(bench, name)
        complete(bench)

    for withdrawn in "STU":
        withdraw(bench.database, bench.slide_id(withdrawn), reviewer="Ada", reason="a copy")
        rest = set("STU") - {withdrawn}
        assert all(flags(bench, name) == {"same-cells-elsewhere"} for name in rest)
        with bench.database.writing() as connection:
            connection.exec_driver_sql("UPDATE slides SET withdrawn_at = NULL")


def test_the_same_cells_of_changed_files_are_not_flagged_any_more(bench: Bench) -> None:
    export(bench, "S", "a")
    complete(bench)
    export(bench, "T", "a")
    complete(bench)
    assert flags(bench, "S") == {"same-cells-elsewhere"}

    journal.record(bench.database, bench.inbox, [seen("T/a.jpg", mtime_ns=2)])

    assert flags(bench, "S") == set()


# Renamed folders


@pytest.mark.parametrize("is_noted_first", [True, False])
def test_a_renamed_folder_is_the_same_slide_with_reviews_and_signature(bench: Bench, is_noted_first: bool) -> None:
    export(bench, "S-wrong")
    complete(bench)
    slide_id = bench.slide_id("S-wrong")
    image = journal.known_in_folder(bench.database, bench.inbox, "S-wrong")["a.jpg"].image_id
    bench.call(IG, image, reviewer="Ada")
    sign(bench.database, slide_id, reviewer="Ada")

    if is_noted_first:
        vanish(bench, "S-wrong")
        export(bench, "S-right")
        assert complete(bench) == 1
    else:
        export(bench, "S-right")
        assert complete(bench) == 0, "it may be a copy"
        assert follow_renames(bench.database, bench.inbox, emptied=vanish(bench, "S-wrong")) == 1

    assert names(bench) == ["S-right"]
    found = slide(bench.database, slide_id)
    assert (found.name, found.status, found.signed_by, found.reviewed_cells) == ("S-right", Status.SIGNED, "Ada", 1)
    tally = counts.slide_tally(bench.database, "S-right")
    assert (tally.counted, tally.missing, tally.shared) == (3, 0, 0)
    assert journal.known_in_folder(bench.database, bench.inbox, "S-right")["a.jpg"].image_id == image
    assert counts.find_slide_id(bench.database, "S-wrong") == slide_id, "it is found by its former name"
    event = slide_events(bench.database, slide_id)[-1]
    assert (event.kind, event.reviewer) == (SlideEventKind.RENAME, WATCHER)
    assert event.text == "the folder was renamed; the slide was called S-wrong before, and is called S-right now"
    again = [seen(f"S-right/{name}.jpg") for name in "abc"]
    assert journal.record(bench.database, bench.inbox, again) == Journalled(), "its files are known"


def test_a_slide_may_be_renamed_back_and_its_former_name_given_to_another(bench: Bench) -> None:
    export(bench, "A")
    complete(bench)
    slide_id = bench.slide_id("A")
    for before, after in (("A", "B"), ("B", "C"), ("C", "A"), ("A", "B")):
        vanish(bench, before)
        export(bench, after)
        assert complete(bench) == 1
        assert names(bench) == [after]
        assert bench.slide_id(after) == slide_id

    export(bench, "A", content="another cell")
    complete(bench)

    assert names(bench) == ["A", "B"]
    assert counts.find_slide_id(bench.database, "A") != slide_id
    assert counts.slide_tally(bench.database, "A").counted == 3


def test_the_folders_within_a_renamed_one_go_with_it(bench: Bench) -> None:
    files = [("S/neu/a.jpg", "a", CellClass.NEUTROPHIL, True), ("S/neu/b.jpg", "b", CellClass.NEUTROPHIL, True)]
    count_cells(bench.database, bench.inbox, files)
    complete(bench)
    vanish(bench, "S/neu", "ab")
    count_cells(bench.database, bench.inbox, [(path.replace("S", "T", 1), *rest) for path, *rest in files])  # type: ignore[misc]

    assert complete(bench) == 1
    assert names(bench) == ["T"]


def test_a_copy_is_no_renaming(bench: Bench) -> None:
    export(bench, "S")
    complete(bench)
    export(bench, "T")

    assert complete(bench) == 0
    assert names(bench) == ["S", "T"]


@pytest.mark.parametrize(
    ("folder", "found"), [("T", "ab"), ("T", "abcd"), ("archive/2026-11/S", "abc"), ("T/deep", "abc")]
)
def test_nothing_but_the_renaming_of_one_folder_with_all_its_images_is_followed(
    bench: Bench, folder: str, found: str
) -> None:
    export(bench, "S")
    complete(bench)
    vanish(bench, "S")
    export(bench, folder, found)

    assert complete(bench) == 0
    assert names(bench) == sorted(["S", folder.partition("/")[0]])
    assert flags(bench, "S") == {"same-cells-elsewhere"}


def test_a_slide_that_a_person_has_worked_on_is_not_dissolved(bench: Bench) -> None:
    export(bench, "S")
    export(bench, "T")
    complete(bench)
    comment(bench.database, bench.slide_id("T"), reviewer="Ada", text="looked at")

    assert follow_renames(bench.database, bench.inbox, emptied=vanish(bench, "S")) == 0
    assert names(bench) == ["S", "T"]


def test_of_two_copies_nobody_can_tell_which_one_is_the_renamed_folder(bench: Bench) -> None:
    for name in "STU":
        export(bench, name)
        complete(bench)

    assert follow_renames(bench.database, bench.inbox, emptied=vanish(bench, "S")) == 0
    assert names(bench) == ["S", "T", "U"]


def test_duplicates_and_refused_files_go_with_their_slide(bench: Bench) -> None:
    def come(slide: str) -> None:
        same = [(f"{slide}/{name}.jpg", "same", CellClass.MONOCYTE, True) for name in "ab"]
        count_cells(bench.database, bench.inbox, same)

    come("S")
    complete(bench)
    vanish(bench, "S", "ab")
    come("T")

    assert complete(bench) == 1
    tally = counts.slide_tally(bench.database, "T")
    assert (tally.counted, tally.duplicates, tally.images) == (1, 1, 2)


# Deep folders


def test_slides_with_images_more_than_one_folder_deep_are_named(bench: Bench) -> None:
    export(bench, "S/neutrophil")
    export(bench, "archive/2026-11/T", content="other")
    complete(bench)

    assert deep_slides(bench.database) == ["archive"]
    assert deep_slides(bench.database, inbox="/inbox") == ["archive"]
    assert deep_slides(bench.database, inbox="/other") == []
    withdraw(bench.database, bench.slide_id("archive"), reviewer="Ada", reason="an archive")
    assert deep_slides(bench.database) == []


def test_a_file_with_another_time_is_compared_before_anything_is_done(bench: Bench) -> None:
    export(bench, "S", "a")
    touched = replace(seen("S/a.jpg", mtime_ns=2), sha256=None)

    assert journal.record(bench.database, bench.inbox, [touched]) == Journalled(to_compare=(touched,))
    assert counts.slide_tally(bench.database, "S").counted == 1
    resized = replace(touched, size=101)
    assert journal.record(bench.database, bench.inbox, [resized]) == Journalled(superseded=1), "other bytes, surely"


def test_a_touched_file_that_is_not_counted_yet_is_journalled_anew(bench: Bench) -> None:
    journal.record(bench.database, bench.inbox, [seen("S/a.jpg")])
    touched = replace(seen("S/a.jpg", mtime_ns=2), sha256=None)

    assert journal.record(bench.database, bench.inbox, [touched]) == Journalled(superseded=1)


def test_a_renaming_that_was_missed_is_followed_later(bench: Bench) -> None:
    export(bench, "S")
    export(bench, "other", content="other")
    completion.complete_slides(bench.database, bench.inbox, quiet=timedelta(0))
    vanish(bench, "S")
    export(bench, "T")
    completion.complete_slides(bench.database, bench.inbox, quiet=timedelta(0))
    assert follow_renames(bench.database, bench.inbox) == 0, "nothing is asked for"

    assert follow_renames(bench.database, bench.inbox, everywhere=True) == 1
    assert names(bench) == ["T", "other"]
