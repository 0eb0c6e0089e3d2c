"""The exact binomial interval: the field's check values, an exact oracle, and what must hold for every count."""

from decimal import Decimal, localcontext
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearcount.differential.intervals import Interval, clopper_pearson

every_count = st.integers(1, 2000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (0, 100, 0.0, 3.6),
        (5, 100, 1.6, 11.3),
        (10, 100, 4.9, 17.6),
        (60, 100, 49.7, 69.7),
        (10, 200, 2.4, 9.0),
        (20, 400, 3.1, 7.6),
    ],
)
def test_agrees_with_the_values_the_field_prints(count: int, total: int, low: float, high: float) -> None:
    interval = clopper_pearson(count, total)

    assert (round(interval.low, 1), round(interval.high, 1)) == (low, high)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
@pytest.mark.parametrize(
    ("count", "total"),
    [(1, 1), (1, 2), (1, 100), (50, 100), (99, 100), (333, 1000), (1, 100_000), (49_321, 100_000), (99_998, 100_000)],
)
def test_is_exact_to_a_billionth_of_a_percent(count: int, total: int, confidence: float) -> None:
    wanted = (1 - Decimal(confidence)) / 2
    interval = clopper_pearson(count, total, confidence)

    # A bound is right to 1e-9 percent if the exact tail is too small on one side of it and too large on the other.
    low = Decimal(interval.low) / 100
    assert upper_tail(count, total, low - Decimal("1e-11")) < wanted < upper_tail(count, total, low + Decimal("1e-11"))
    if count < total:
        other = 1 - Decimal(interval.high) / 100
        rest = total - count
        assert upper_tail(rest, total, other - Decimal("1e-11")) < wanted
        assert wanted < upper_tail(rest, total, other + Decimal("1e-11"))


def upper_tail(count: int, total: int, p: Decimal) -> Decimal:
    """Return P(X >= count) with 40 digits, by the definition."""
    if p <= 0:
        return Decimal(0)
    with localcontext(prec=40):
        odds = p / (1 - p)
        term = (1 - p) ** total
        below = Decimal(0)
        for successes in range(count):
            below += term
            term *= odds * (total - successes) / (successes + 1)
        return 1 - below


@given(every_count, st.floats(0.01, 0.9999))
def test_contains_the_point_estimate(counted: tuple[int, int], confidence: float) -> None:
    count, total = counted
    interval = clopper_pearson(count, total, confidence)

    assert 0 <= interval.low <= 100.0 * count / total <= interval.high <= 100


@given(every_count)
def test_mirrors_the_interval_of_all_other_cells(counted: tuple[int, int]) -> None:
    count, total = counted
    interval, mirrored = clopper_pearson(count, total), clopper_pearson(total - count, total)

    assert interval.low == pytest.approx(100 - mirrored.high, abs=1e-11)
    assert interval.high == pytest.approx(100 - mirrored.low, abs=1e-11)


@given(every_count)
def test_rises_with_the_count(counted: tuple[int, int]) -> None:
    count, total = counted
    if count < total:
        fewer, more = clopper_pearson(count, total), clopper_pearson(count + 1, total)

        assert fewer.low < more.low
        assert fewer.high < more.high


@given(every_count)
def test_narrows_with_more_cells_and_widens_with_the_confidence(counted: tuple[int, int]) -> None:
    count, total = counted

    assert width(clopper_pearson(2 * count, 2 * total)) < width(clopper_pearson(count, total))
    assert width(clopper_pearson(count, total, 0.9)) < width(clopper_pearson(count, total, 0.99))


def width(interval: Interval) -> float:
    return interval.high - interval.low


def test_the_ends_are_exact() -> None:
    assert clopper_pearson(0, 37).low == 0.0
    assert clopper_pearson(37, 37).high == 100.0


@pytest.mark.parametrize(
    ("count", "total", "confidence"),
    [
        (0, 0, 0.95),
        (5, -10, 0.95),
        (-1, 10, 0.95),
        (11, 10, 0.95),
        (5, 10, 0),
        (5, 10, 1),
        (5, 10, 95),
        (5, 10, -0.5),
        (5, 10, float("nan")),
    ],
)
def test_refuses_nonsense(count: int, total: int, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"must lie between|at least one cell"):
        clopper_pearson(count, total, confidence)


def test_takes_less_than_a_millisecond_at_a_thousand_cells() -> None:
    def seconds() -> float:
        start = perf_counter()
        clopper_pearson(500, 1000)
        return perf_counter() - start

    assert min(seconds() for _ in range(50)) < 0.001
