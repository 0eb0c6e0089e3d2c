"""High and low: only what the number of cells can show; all else outside the range is borderline."""

from fractions import Fraction
from itertools import pairwise
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.intervals import clopper_pearson
from smearcount.differential.ratios import RangeFlag, range_flag
from smearcount.differential.settings import ADULT_REFERENCE_RANGES, CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import SlideTally

DEFAULTS = CountSettings(reference_ranges=ADULT_REFERENCE_RANGES, minimum_wbc=100)

#: The fewest cells with which a percentage exceeds a limit with 95 % certainty, by (limit, cells counted), as the field has them.
FEWEST = {
    (0.5, 100): 3, (0.5, 140): 4, (0.5, 200): 4, (0.5, 400): 6,
    (0.9, 100): 4, (0.9, 140): 5, (0.9, 200): 6, (0.9, 400): 9,
    (2.0, 100): 6, (2.0, 140): 7, (2.0, 200): 9, (2.0, 400): 15,
}  # fmt: skip

counted = st.integers(1, 3000).flatmap(lambda wbc: st.tuples(st.integers(0, wbc), st.just(wbc)))
references = st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda bounds: (min(bounds), max(bounds)))


def flag(count: int, wbc: int, reference: tuple[float, float] | None, minimum: int = 100) -> RangeFlag | None:
    return range_flag(count, wbc, reference, minimum_wbc=minimum)


def slide(ig: int, wbc: int) -> SlideTally:
    """Return a complete slide with so many immature granulocytes, and all other percentages within their ranges."""
    rest = wbc - ig
    lymphocytes, monocytes = rest * 30 // 100, rest * 8 // 100
    return SlideTally(
        slide="S", status=SlideStatus.COMPLETE, models=(), unidentified=0, quarantined=0, duplicates=0, pending=0,
        first_image_at=None, completed_at=None,
        cells={CellClass.IG: ig, CellClass.LYMPHOCYTE: lymphocytes, CellClass.MONOCYTE: monocytes,
               CellClass.NEUTROPHIL: rest - lymphocytes - monocytes},
    )  # fmt: skip


@pytest.mark.parametrize(("limit", "wbc"), FEWEST, ids=str)
def test_a_limit_is_exceeded_from_as_many_cells_on_as_the_field_says(limit: float, wbc: int) -> None:
    fewest = FEWEST[limit, wbc]

    assert flag(fewest, wbc, (0, limit)) is RangeFlag.HIGH
    assert flag(fewest - 1, wbc, (0, limit)) is not RangeFlag.HIGH
    # The same for a class that is too rare: as many cells that are not of it.
    assert flag(wbc - fewest, wbc, (100 - limit, 100)) is RangeFlag.LOW
    assert flag(wbc - fewest + 1, wbc, (100 - limit, 100)) is not RangeFlag.LOW


@pytest.mark.parametrize(("limit", "wbc"), FEWEST, ids=str)
def test_these_numbers_follow_from_two_and_a_half_percent_on_either_side(limit: float, wbc: int) -> None:
    """By the definition, in exact arithmetic; 5 % on one side would allow 3 of 140 above 0.5 %, among others."""
    share = Fraction(str(limit)) / 100

    def chance(count: int) -> Fraction:
        below = sum(
            (comb(wbc, seen) * share**seen * (1 - share) ** (wbc - seen) for seen in range(count)), start=Fraction(0)
        )
        return 1 - below

    fewest = FEWEST[limit, wbc]
    assert chance(fewest) < Fraction(25, 1000) < chance(fewest - 1)


def test_one_immature_granulocyte_of_140_is_no_longer_high() -> None:
    narrow = CountSettings(reference_ranges={CellClass.IG: (0, 0.5)}, minimum_wbc=100)
    (borderline,) = slide_flags(slide(1, 140), narrow)

    assert borderline.code == "borderline:ig"
    assert borderline.message == (
        "Immature granulocyte borderline: 0.7 % (1 of 140), reference 0-0.5 %, cannot be told from normal with 140 cells"
    )
    assert slide_flags(slide(1, 140), DEFAULTS) == ()


@pytest.mark.parametrize(
    ("ig", "codes"), [(0, []), (1, []), (2, ["borderline:ig"]), (5, ["borderline:ig"]), (6, ["high:ig"])]
)
def test_immature_granulocytes_of_a_routine_slide_of_200(ig: int, codes: list[str]) -> None:
    assert [one.code for one in slide_flags(slide(ig, 200), DEFAULTS)] == codes


def test_below_the_minimum_nothing_is_high_or_low_and_the_message_says_why() -> None:
    cells = {CellClass.NEUTROPHIL: 60}
    few = SlideTally(
        slide="S", status=SlideStatus.COMPLETE, models=(), cells=cells, unidentified=0, quarantined=0, duplicates=0,
        pending=0, first_image_at=None, completed_at=None,
    )  # fmt: skip
    flags = {one.code: one.message for one in slide_flags(few, DEFAULTS)}

    assert set(flags) == {"few-wbc", "borderline:neutrophil", "borderline:lymphocyte", "borderline:monocyte"}
    assert flags["borderline:neutrophil"] == (
        "Neutrophil borderline: 100.0 % (60 of 60), reference 39-75 %, cannot be told from normal with 60 cells "
        "(minimum set: 100)"
    )
    enough = CountSettings(reference_ranges=ADULT_REFERENCE_RANGES, minimum_wbc=60)
    assert {"high:neutrophil", "low:lymphocyte"} <= {one.code for one in slide_flags(few, enough)}


def test_the_bounds_of_a_range_belong_to_it() -> None:
    assert flag(75, 100, (39, 75)) is None
    assert flag(39, 100, (39, 75)) is None
    assert flag(76, 100, (39, 75)) is RangeFlag.BORDERLINE
    assert flag(0, 0, (39, 75)) is None
    assert flag(5, 10, None) is None


@given(counted, references, st.integers(1, 400))
def test_a_flag_says_what_the_interval_shows(
    cells: tuple[int, int], reference: tuple[float, float], minimum: int
) -> None:
    count, wbc = cells
    low, high = reference
    interval, percent = clopper_pearson(count, wbc), 100.0 * count / wbc
    given_flag = flag(count, wbc, reference, minimum)

    if given_flag is RangeFlag.HIGH:
        assert percent >= interval.low > high
    elif given_flag is RangeFlag.LOW:
        assert percent <= interval.high < low
    else:
        reaches_in = interval.low <= high and interval.high >= low
        assert reaches_in or wbc < minimum
        assert (given_flag is RangeFlag.BORDERLINE) == (not low <= percent <= high)
    if wbc < minimum:
        assert given_flag not in {RangeFlag.HIGH, RangeFlag.LOW}


@given(st.integers(1, 1500), references)
def test_more_cells_of_a_class_never_lower_its_flag(wbc: int, reference: tuple[float, float]) -> None:
    step = max(wbc // 40, 1)
    ranks = [rank(count, wbc, reference) for count in range(0, wbc + 1, step)]

    assert all(fewer <= more for fewer, more in pairwise(ranks))


def rank(count: int, wbc: int, reference: tuple[float, float]) -> int:
    """Return the place of a flag between low and high."""
    given_flag = flag(count, wbc, reference, 1)
    if given_flag is RangeFlag.BORDERLINE:
        return 1 if 100.0 * count / wbc > reference[1] else -1
    return {RangeFlag.LOW: -2, None: 0, RangeFlag.HIGH: 2}[given_flag]


@given(st.integers(1, 1500), st.data())
def test_intervals_move_up_with_the_count_and_become_narrower_with_the_cells(wbc: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, wbc - 1))
    one, more = clopper_pearson(count, wbc), clopper_pearson(count + 1, wbc)
    assert one.low < more.low
    assert one.high < more.high

    tenfold = clopper_pearson(10 * count, 10 * wbc)
    assert tenfold.high - tenfold.low < one.high - one.low


@given(st.dictionaries(st.sampled_from(CellClass), st.integers(0, 500)), st.integers(1, 400), references)
def test_a_class_has_at_most_one_flag(
    cells: dict[CellClass, int], minimum: int, reference: tuple[float, float]
) -> None:
    settings = CountSettings(reference_ranges=dict.fromkeys(WBC_CLASSES, reference), minimum_wbc=minimum)
    any_slide = SlideTally(
        slide="S", status=SlideStatus.COMPLETE, models=(), cells=cells, unidentified=0, quarantined=0, duplicates=0,
        pending=0, first_image_at=None, completed_at=None,
    )  # fmt: skip
    classes = [one.code.partition(":")[2] for one in slide_flags(any_slide, settings) if ":" in one.code]

    assert len(classes) == len(set(classes))
