"""How far the network's confidence can be trusted, and from which confidence on a cell is counted.

All functions are pure. n is the number of images, k the number of classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smearcount.models.inference.classification import softmax

Floats = npt.NDArray[np.float64]

#: Bounds of the temperature search; a network outside them is broken rather than badly calibrated.
_TEMPERATURES = (0.05, 20.0)
_GOLDEN = (5**0.5 - 1) / 2


def negative_log_likelihood(
    logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], temperature: float
) -> float:
    """Mean -log p(label), natural logarithm, of logits of shape (n, k) and labels of shape (n,)."""
    probabilities = softmax(logits, temperature)[np.arange(len(labels)), labels]
    # 1e-300 keeps the logarithm finite where a probability underflows
    return float(-np.log(np.maximum(probabilities, 1e-300)).mean())


def fit_temperature(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float:
    """Return the temperature at which the logits fit the labels best (temperature scaling).

    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, section 4.2. The likelihood is
    convex in 1 / temperature, so a golden-section search over its logarithm finds the one minimum. The class called
    never changes, only its confidence.
    """
    low, high = (float(np.log(bound)) for bound in _TEMPERATURES)
    while high - low > 1e-4:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        at_left, at_right = (negative_log_likelihood(logits, labels, float(np.exp(x))) for x in (left, right))
        if at_left < at_right:
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


#: Bins of equal width that confidences are sorted into, unless told otherwise.
BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Confidence beside accuracy, in bins of equal width: one entry per bin, bin m holding ((m-1)/bins, m/bins]."""

    #: Images in the bin.
    images: npt.NDArray[np.int64]
    #: Those of them called rightly.
    correct: npt.NDArray[np.int64]
    #: Mean confidence, 0-1; NaN in an empty bin.
    confidence: Floats

    @property
    def accuracy(self) -> Floats:
        """Share of right calls, 0-1; NaN in an empty bin."""
        return _quotient(self.correct, self.images)


def reliability(confidences: Floats, correct: npt.NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Sort n confidences, and whether each call was correct, into `bins` bins."""
    which = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    images = np.bincount(which, minlength=bins)
    sums = np.bincount(which, weights=confidences, minlength=bins)
    return Reliability(images, np.bincount(which[correct], minlength=bins), _quotient(sums, images))


def _quotient(numerators: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> Floats:
    quotients: Floats = np.full(len(counts), np.nan)
    np.divide(numerators, counts, out=quotients, where=counts > 0)
    return quotients


def expected_calibration_error(confidences: Floats, correct: npt.NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean gap between confidence and accuracy, over `bins` bins of equal width, weighted by their images.

    Guo et al. 2017, equation 3: 0 is perfect. Both arrays have shape (n,), n >= 1.
    """
    found = reliability(confidences, correct, bins)
    gaps = np.abs(found.accuracy - found.confidence) * found.images
    return float(np.nansum(gaps) / len(confidences))


@dataclass(frozen=True)
class RiskCoverage:
    """What a choice of threshold costs: one entry per threshold, in rising order.

    El-Yaniv, Wiener: On the Foundations of Noise-free Selective Classification, JMLR 11 (2010).
    """

    thresholds: Floats
    #: Share of the images at or above the threshold.
    coverage: Floats
    #: Share of errors among these; 0 where there are none.
    risk: Floats
    #: Share of all errors that are under the threshold; NaN where there are no errors at all.
    caught: Floats


def risk_coverage(confidences: Floats, correct: npt.NDArray[np.bool_], thresholds: Floats) -> RiskCoverage:
    """Return coverage, risk and errors caught at each of `thresholds`, for n >= 1 confidences and correct calls."""
    # sorted once and looked up: a threshold per image costs no n × n table
    of_all, of_errors = np.sort(confidences), np.sort(confidences[~correct])
    counts = len(of_all) - np.searchsorted(of_all, thresholds)
    caught = np.searchsorted(of_errors, thresholds)
    errors = len(of_errors) - caught
    all_errors = np.full(len(thresholds), len(of_errors))
    return RiskCoverage(thresholds, counts / len(of_all), errors / np.maximum(counts, 1), _quotient(caught, all_errors))


#: The rule's two numbers: errors wanted among the cells counted, and cells left to review at most.
TARGET_RISK = 0.005
LARGEST_UNIDENTIFIED = 0.05

THRESHOLD_RULE = (
    f"the lowest of 0.01, 0.02, ... 0.99 at which at most {TARGET_RISK:.1%} of the validation images counted are "
    f"called wrongly, but never one that leaves more than {LARGEST_UNIDENTIFIED:.0%} of them unidentified"
)


def choose_threshold(confidences: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Return the threshold by `THRESHOLD_RULE`, a multiple of 0.01."""
    curve = risk_coverage(confidences, correct, np.arange(1, 100) / 100)
    bearable = curve.coverage >= 1 - LARGEST_UNIDENTIFIED
    good = bearable & (curve.risk <= TARGET_RISK)
    if good.any():
        return float(curve.thresholds[good][0])
    # confidences under 1/k do not exist, so the lowest threshold always counts every image
    return float(curve.thresholds[bearable][-1])
