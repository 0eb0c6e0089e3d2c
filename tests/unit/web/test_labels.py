"""How the pages write numbers, classes and moments, and which cells a sheet of paper shows."""

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearcount.db.queries.cells import Cell
from smearcount.db.schema import ImageState
from smearcount.differential.classes import ReviewClass
from smearcount.web.pages.parts import labels
from smearcount.web.pages.parts.gallery import GalleryQuery, Group, contact_sheet


def cells(number: int) -> list[Cell]:
    return [
        Cell(
            id=one, slide_id=1, state=ImageState.DONE, path="", analyzer_label=None, automatic=None, effective=None,
            review_id=None, reviewed=None, reviewer=None, reviewed_at=None, review_reason=None, reason_code=None,
            reason=None, duplicate_of=None, sha256=None,
        )
        for one in range(number)
    ]  # fmt: skip


def test_every_class_has_a_key_of_its_own_and_a_name() -> None:
    assert set(labels.CLASSES) == set(ReviewClass)
    assert [one.key for one in labels.CLASSES.values()] == [*"12345678", "0"]
    assert labels.CLASSES[ReviewClass.NEUTROPHIL].key == "1"
    assert {one.code for one in labels.GALLERY_CLASSES} == set(ReviewClass)
    assert labels.GALLERY_CLASSES[0].code is ReviewClass.UNIDENTIFIED


@pytest.mark.parametrize(
    ("number", "text"), [(None, "–"), (1.0, "100"), (0.99999, "99.9"), (0.9512, "95.1"), (0.0, "0.0")]
)
def test_a_share_is_never_rounded_up_to_certainty(number: float | None, text: str) -> None:
    assert labels.share(number) == text


def test_numbers_are_written_as_people_read_them() -> None:
    assert labels.number(1234567) == "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567"
    assert (labels.signed(2), labels.signed(-2), labels.signed(0)) == ("+2", "\N{MINUS SIGN}2", "0")
    assert (labels.counted(1, "cell"), labels.counted(2, "cell")) == ("1 cell", "2 cells")
    assert (labels.percent(61.04), labels.percent(None)) == ("61.0", "–")
    assert (labels.bounds(1.0, 2.25), labels.reference(0.0, 0.5)) == ("1.0–2.2", "0–0.5")


def test_a_moment_is_in_utc_whatever_its_zone() -> None:
    at = datetime(2026, 11, 23, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert str(labels.moment(at)) == '<time datetime="2026-11-22T23:30:00Z">2026-11-22 23:30 UTC</time>'
    assert str(labels.moment(at.astimezone(UTC))) == str(labels.moment(at))
    assert str(labels.moment(None)) == "–"


@given(st.lists(st.integers(0, 400), min_size=9, max_size=9), st.integers(9, 30), st.integers(1, 20))
def test_a_sheet_has_room_for_every_group_and_wastes_none(sizes: list[int], rows: int, per_row: int) -> None:
    groups = [Group(one, cells(size)) for one, size in zip(labels.GALLERY_CLASSES, sizes, strict=True)]
    sheet = contact_sheet(groups, rows=rows, per_row=per_row)
    wanted = [math.ceil(size / per_row) for size in sizes if size]
    used = [math.ceil(len(group.cells) / per_row) for group in sheet]
    assert [group.labels for group in sheet] == [group.labels for group in groups if group.cells]
    assert sum(used) == min(rows, sum(wanted))
    # No group is cut while another one, shown at greater length, is.
    cut = [shown for shown, need in zip(used, wanted, strict=True) if shown < need]
    assert not cut or max(used) - min(cut) <= 1
    for group in sheet:
        assert group.cells == _of(groups, group).cells[: len(group.cells)]


def _of(groups: list[Group], wanted: Group) -> Group:
    return next(group for group in groups if group.labels is wanted.labels)


def test_the_next_page_keeps_the_filter() -> None:
    assert GalleryQuery.model_validate({"below": "90"}).address("x y") == "?show=all&below=90.0&after=x+y"
    assert GalleryQuery.model_validate({"below": "", "show": "reviewed"}).address(None) == "?show=reviewed"
