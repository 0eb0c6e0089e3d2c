"""What thresholds cost in cells to review and bring in errors found. Pure functions."""

from dataclasses import dataclass

import numpy as np

from smearcount.models.evaluation.calibration import risk_coverage
from smearcount.models.evaluation.calls import Calls
from smearcount.models.evaluation.scores import share_of

#: Thresholds that are tabulated beside the one in force.
_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True)
class ThresholdRow:
    """What one threshold costs and brings; shares are 0-1."""

    threshold: float
    #: True for the threshold in force: its row counts all unidentified cells, also those over the limit of the OOD score.
    #: The other rows look at the confidence alone.
    in_force: bool
    #: Share of the cells left for review.
    review: float
    #: Share of all wrong calls that are among those for review; None where no call is wrong.
    errors_in_review: float | None
    #: Share of wrong calls among the cells counted; None where none is counted.
    errors_counted: float | None


def threshold_rows(calls: Calls, threshold: float) -> tuple[ThresholdRow, ...]:
    """Return a row for each of some usual thresholds and for the one in force, in rising order.

    Args:
        calls: at least one; `Calls.identified` says what the threshold in force leaves for review.
        threshold: the one in force, 0-1.
    """
    others = np.array([each for each in _THRESHOLDS if each != threshold])
    curve = risk_coverage(calls.confidences, calls.correct, others)
    rows = [
        ThresholdRow(
            threshold=float(others[i]),
            in_force=False,
            review=float(1 - curve.coverage[i]),
            errors_in_review=None if calls.correct.all() else float(curve.caught[i]),
            errors_counted=float(curve.risk[i]) if curve.coverage[i] else None,
        )
        for i in range(len(others))
    ]
    rows.append(
        ThresholdRow(
            threshold=threshold,
            in_force=True,
            review=float((~calls.identified).mean()),
            errors_in_review=share_of((~calls.identified)[~calls.correct]),
            errors_counted=share_of((~calls.correct)[calls.identified]),
        )
    )
    return tuple(sorted(rows, key=lambda row: row.threshold))
