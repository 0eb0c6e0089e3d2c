"""Whether the network's confidence can be trusted, and from which confidence on a cell is counted.

All functions are pure. n is the number of images, k the number of classes. Confidences are the probabilities, 0-1, of the
classes called.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smearcount.models.inference.classification import softmax

Floats = npt.NDArray[np.float64]

#: Bounds of the temperature search; a network that needs another temperature is broken rather than badly calibrated.
_TEMPERATURES = (0.05, 20.0)
_GOLDEN = (5**0.5 - 1) / 2


def negative_log_likelihood(
    logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], temperature: float
) -> float:
    """Return the mean of -ln p(label) over n >= 1 images, where p is the softmax of the logits.

    Args:
        logits: shape (n, k).
        labels: the right classes, as indices of the k classes: shape (n,).
        temperature: the logits are divided by it first; more than 0.
    """
    probabilities = softmax(logits, temperature)[np.arange(len(labels)), labels]
    # 1e-300 keeps the logarithm finite where a probability underflows
    return float(-np.log(np.maximum(probabilities, 1e-300)).mean())


def fit_temperature(logits: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]) -> float:
    """Return the temperature at which the logits fit the labels best (temperature scaling).

    Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017, section 4.2. The negative log
    likelihood is convex in 1 / temperature, so a golden-section search over the temperature's logarithm finds the one
    minimum. The class called never changes, only its confidence.

    Args:
        logits: shape (n, k), n >= 1.
        labels: the right classes, as indices of the k classes: shape (n,).

    Returns:
        The temperature, 0.05 to 20, to about four digits.
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


#: Number of bins of equal width that confidences are sorted into, by default.
BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Confidence beside accuracy, in bins of equal width: arrays with one entry per bin.

    Bin m, counted from 1, holds the confidences above (m - 1) / bins and up to m / bins.
    """

    #: Images in the bin.
    images: npt.NDArray[np.int64]
    #: Images in the bin that are called rightly.
    correct: npt.NDArray[np.int64]
    #: Mean confidence, 0-1; NaN in an empty bin.
    confidence: Floats

    @property
    def accuracy(self) -> Floats:
        """Share of right calls, 0-1; NaN in an empty bin."""
        return _quotient(self.correct, self.images)


def reliability(confidences: Floats, correct: npt.NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Sort confidences into bins.

    Args:
        confidences: shape (n,), 0-1.
        correct: whether each call is right: shape (n,).
        bins: how many.
    """
    which = np.clip(np.ceil(confidences * bins).astype(int) - 1, 0, bins - 1)
    images = np.bincount(which, minlength=bins)
    sums = np.bincount(which, weights=confidences, minlength=bins)
    return Reliability(images, np.bincount(which[correct], minlength=bins), _quotient(sums, images))


def _quotient(numerators: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> Floats:
    quotients: Floats = np.full(len(counts), np.nan)
    np.divide(numerators, counts, out=quotients, where=counts > 0)
    return quotients


def expected_calibration_error(confidences: Floats, correct: npt.NDArray[np.bool_], bins: int = BINS) -> float:
    """Return the mean gap between confidence and accuracy over bins of equal width, weighted by their images.

    ECE = sum over bins of (images in the bin / n) |accuracy - confidence| (Guo et al. 2017, equation 3); 0 is perfect.

    Args:
        confidences: shape (n,), n >= 1, 0-1.
        correct: whether each call is right: shape (n,).
        bins: how many.
    """
    found = reliability(confidences, correct, bins)
    gaps = np.abs(found.accuracy - found.confidence) * found.images
    return float(np.nansum(gaps) / len(confidences))


@dataclass(frozen=True)
class RiskCoverage:
    """What a choice of threshold costs: arrays with one entry per threshold, all shares 0-1.

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
    """Return coverage, risk and errors caught at each threshold.

    Args:
        confidences: shape (n,), n >= 1, 0-1.
        correct: whether each call is right: shape (n,).
        thresholds: shape (t,); an image is covered if its confidence is at least the threshold.
    """
    # Sort once and look up: comparing every image with every threshold would take an n × n table.
    of_all, of_errors = np.sort(confidences), np.sort(confidences[~correct])
    counts = len(of_all) - np.searchsorted(of_all, thresholds)
    caught = np.searchsorted(of_errors, thresholds)
    errors = len(of_errors) - caught
    all_errors = np.full(len(thresholds), len(of_errors))
    return RiskCoverage(thresholds, counts / len(of_all), errors / np.maximum(counts, 1), _quotient(caught, all_errors))


#: The rule's two numbers: the share of errors aimed at among the cells counted, and the largest share of cells to review.
TARGET_RISK = 0.005
LARGEST_UNIDENTIFIED = 0.05

THRESHOLD_RULE = (
    f"the lowest of 0.01, 0.02, ... 0.99 at which at most {TARGET_RISK:.1%} of the validation images counted are "
    f"called wrongly, but never one that leaves more than {LARGEST_UNIDENTIFIED:.0%} of them unidentified"
)


def choose_threshold(confidences: Floats, correct: npt.NDArray[np.bool_]) -> float:
    """Return the threshold by `THRESHOLD_RULE`, a multiple of 0.01 from 0.01 to 0.99.

    Args:
        confidences: of n >= 1 validation images: shape (n,), 1/k to 1.
        correct: whether each call is right: shape (n,).
    """
    curve = risk_coverage(confidences, correct, np.arange(1, 100) / 100)
    bearable = curve.coverage >= 1 - LARGEST_UNIDENTIFIED
    good = bearable & (curve.risk <= TARGET_RISK)
    if good.any():
        return float(curve.thresholds[good][0])
    # The largest of k probabilities is at least 1/k, so the lowest threshold always counts every image.
    return float(curve.thresholds[bearable][-1])


#: Share of the validation images that the confidence of `models.inference.trust` may leave unidentified.
REVIEW_SHARE = 0.032

REVIEW_RULE = (
    f"the highest multiple of 0.001 that leaves at most {REVIEW_SHARE:.1%} of the validation images, as they are, unidentified "
    "by confidence or unlikeness: elsewhere the cells counted are the more often right the higher it is"
)


def choose_threshold_by_review(confidences: Floats, countable: npt.NDArray[np.bool_]) -> float:
    """Return the threshold by `REVIEW_RULE`, from 0.001 to 0.999.

    Args:
        confidences: of n >= 1 validation images: shape (n,), 0-1.
        countable: whether each is within the limit of the OOD score: shape (n,).
    """
    thresholds = np.arange(1, 1000) / 1000
    unidentified = 1 - (
        len(confidences) - np.searchsorted(np.sort(np.where(countable, confidences, 0.0)), thresholds)
    ) / len(confidences)
    within = thresholds[unidentified <= REVIEW_SHARE]
    return float(within[-1]) if len(within) else float(thresholds[0])
