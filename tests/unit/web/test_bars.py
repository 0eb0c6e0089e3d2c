"""Bars show what the numbers say, and stay within their place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.intervals import clopper_pearson
from smearcount.differential.ratios import RangeFlag, range_flag
from smearcount.differential.report import DifferentialRow
from smearcount.web.pages.parts.bars import Shape, range_bar, stacked_bar

counts = st.dictionaries(st.sampled_from(CellClass), st.integers(0, 5000)).map(
    lambda some: {one: some.get(one, 0) for one in CellClass}
)


def row(count: int, wbc: int, reference: tuple[float, float] | None = (4.0, 12.0)) -> DifferentialRow:
    percent = 100 * count / wbc if wbc else None
    interval = clopper_pearson(count, wbc) if wbc else None
    return DifferentialRow(
        CellClass.MONOCYTE,
        count,
        percent,
        interval.low if interval else None,
        interval.high if interval else None,
        reference[0] if reference else None,
        reference[1] if reference else None,
        range_flag(count, wbc, reference, minimum_wbc=100),
    )


@given(counts)
def test_a_stacked_bar_has_a_part_for_each_class_that_has_cells(cells: dict[CellClass, int]) -> None:
    bar = stacked_bar(cells)
    wbc = sum(cells[one] for one in WBC_CLASSES)
    assert [part.cell_class for part in bar.parts] == [one for one in WBC_CLASSES if cells[one]]
    for part, following in zip(bar.parts, bar.parts[1:], strict=False):
        assert following.start == pytest.approx(part.start + 100 * cells[part.cell_class] / wbc, abs=0.02)
    assert all(part.width > 0 and part.start < 100 for part in bar.parts)
    assert (bar.text == "no WBC counted") == (not wbc)


def test_a_stacked_bar_says_the_same_in_words() -> None:
    bar = stacked_bar({**dict.fromkeys(CellClass, 0), CellClass.NEUTROPHIL: 3, CellClass.IG: 1, CellClass.PLATELET: 9})
    assert bar.text == "Neutrophil 75.0 %, Immature granulocyte 25.0 %"
    assert [(part.start, part.width) for part in bar.parts] == [(0, 74.4), (75, 24.4)]


@pytest.mark.parametrize(
    ("count", "shape", "words"),
    [
        (8, Shape.WITHIN, "within"),
        (2, Shape.BORDERLINE, "outside"),
        (13, Shape.BORDERLINE, "outside"),
        (30, Shape.HIGH, "above"),
        (0, Shape.LOW, "below"),
    ],
)
def test_a_range_bar_marks_the_side_by_its_shape_and_in_words(count: int, shape: Shape, words: str) -> None:
    bar = range_bar(row(count, 100))
    assert bar is not None
    assert bar.shape is shape
    assert f"{words} the reference range 4 to 12 %" in bar.text
    assert ("cannot be told from normal" in bar.text) == (shape is Shape.BORDERLINE)


@given(st.integers(1, 3000), st.data())
def test_a_range_bar_stays_within_its_scale(wbc: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, wbc))
    reference = data.draw(st.none() | st.sampled_from([(0.0, 0.5), (0.0, 0.0), (39.0, 75.0), (0.0, 100.0)]))
    one = row(count, wbc, reference)
    bar = range_bar(one)
    assert bar is not None
    assert 1 <= bar.end <= 100
    assert 0 <= bar.interval[0] <= bar.at <= bar.interval[1] <= 100
    assert bar.at == pytest.approx(100 * (one.percent or 0) / bar.end, abs=0.01)
    if reference is None:
        assert bar.band is None
    else:
        assert bar.band is not None
        low, high = bar.band
        # On which side of the band the mark lies is what the flag says.
        side = None if low <= bar.at <= high else RangeFlag.LOW if bar.at < low else RangeFlag.HIGH
        doubtful = one.flag is RangeFlag.BORDERLINE and side is not None
        assert doubtful or side == one.flag or min(abs(bar.at - low), abs(bar.at - high)) < 0.02


def test_without_any_wbc_there_is_no_range_bar() -> None:
    assert range_bar(row(0, 0)) is None
