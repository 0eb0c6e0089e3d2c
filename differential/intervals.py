"""The exact binomial (Clopper-Pearson) interval: how far a percentage of a few hundred cells can be relied on.

SciPy computes it in one line, but is an installation of about 100 MB; the sum below is the only part that is needed.
"""

from dataclasses import dataclass
from math import exp, lgamma, log, log1p

#: Newton's method stops when a step changes the bound by less than this fraction. It converges quadratically, so the
#: remaining error is below the rounding of a double.
_SMALL_STEP = 1e-10

#: Seven steps are usual, at any count. With the limit, a programming error gives a wrong digit instead of an endless loop.
_MOST_STEPS = 100


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a proportion; both bounds in percent, 0 <= low <= high <= 100."""

    low: float
    high: float


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> Interval:
    """Return the exact (Clopper-Pearson) binomial interval of `count` among `total` cells, in percent.

    Each bound is the percentage at which a result as extreme as this one has the probability (1 - confidence) / 2. The
    bounds are exact to 1e-9 percent for up to 100,000 cells. The interval covers the chance of drawing the cells alone,
    not wrong calls, nor a badly spread smear.

    Source: C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934) 404-413.

    Args:
        count: Cells of the class.
        total: All cells counted.
        confidence: Probability between 0 and 1, both excluded.

    Raises:
        ValueError: No cell was counted, the count is negative or above the total, or the confidence is not between 0
            and 1.
    """
    if total < 1:
        raise ValueError(f"an interval needs at least one cell, not {total}")
    if not 0 <= count <= total:
        raise ValueError(f"the count must lie between 0 and the total {total}, not at {count}")
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence must lie between 0 and 1, not at {confidence}")
    tail = (1 - confidence) / 2
    # The upper bound for the cells of the class is 1 minus the lower bound for all other cells.
    return Interval(
        low=100 * _lower_bound(count, total, tail),
        high=100 * (1 - _lower_bound(total - count, total, tail)),
    )


def _lower_bound(count: int, total: int, tail: float) -> float:
    """Return the proportion p (0 to 1) at which P(X >= count) = tail, for X binomial (total, p)."""
    if count == 0:
        return 0.0
    if count == total:
        return exp(log(tail) / total)
    # Newton's method for log P(X >= count) as a function of u = log p. Its slope, count / _tail_sum, decreases as p
    # increases: the function is concave, a tangent never lies below it, and every step ends at the root or to the left of
    # it, from where the next steps increase towards it. No bracket is needed. At the start, p = count / total and
    # P(X >= count) is above 1/2.
    log_ways = lgamma(total + 1) - lgamma(count + 1) - lgamma(total - count + 1)
    log_tail = log(tail)
    log_p = log(count / total)
    for _ in range(_MOST_STEPS):
        p = exp(log_p)
        terms = _tail_sum(count, total, p)
        log_probability = log_ways + count * log_p + (total - count) * log1p(-p) + log(terms)
        step = (log_tail - log_probability) * terms / count
        log_p += step
        if abs(step) < _SMALL_STEP:
            break
    return exp(log_p)


def _tail_sum(count: int, total: int, p: float) -> float:
    """Return P(X >= count) / P(X = count) for p <= count / total.

    From `count` upwards every term is smaller than the one before it, and none is negative: no digits cancel, nothing
    overflows, and the sum may end as soon as a term no longer changes it.
    """
    odds = p / (1 - p)
    term = total_of_terms = 1.0
    for successes in range(count, total):
        term *= odds * (total - successes) / (successes + 1)
        if total_of_terms + term == total_of_terms:
            break
        total_of_terms += term
    return total_of_terms
