"""Temperature, calibration error and threshold on data whose answer is known."""

import numpy as np
import pytest

from smearcount.models.evaluation.calibration import (
    LARGEST_UNIDENTIFIED,
    TARGET_RISK,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    risk_coverage,
)
from smearcount.models.inference.classification import softmax


def drawn(n: int, temperature: float, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits and labels that follow their softmax exactly at `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(n, 8))
    cumulated = softmax(logits, temperature).cumsum(axis=1)
    return logits, (rng.random((n, 1)) > cumulated[:, :-1]).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.3, 0.7, 1.0, 1.8, 4.0])
def test_the_temperature_is_found_again(temperature: float) -> None:
    assert fit_temperature(*drawn(40_000, temperature)) == pytest.approx(temperature, rel=0.03)


def test_the_fitted_temperature_is_a_minimum() -> None:
    logits, labels = drawn(2_000, 1.5)
    best = fit_temperature(logits, labels)
    at_best = negative_log_likelihood(logits, labels, best)
    assert all(at_best <= negative_log_likelihood(logits, labels, best * factor) for factor in (0.5, 0.99, 1.01, 2))


def test_the_fitted_temperature_calibrates() -> None:
    logits, labels = drawn(40_000, 2.5)
    errors = []
    for temperature in (1.0, fit_temperature(logits, labels)):
        probabilities = softmax(logits, temperature)
        errors.append(expected_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels))
    assert errors[0] > 0.2
    assert errors[1] < 0.01


def test_likelihood_of_a_coin() -> None:
    assert negative_log_likelihood(np.zeros((4, 2)), np.array([0, 1, 0, 1]), 1.0) == pytest.approx(np.log(2))


def test_likelihood_of_the_impossible_is_finite() -> None:
    assert np.isfinite(negative_log_likelihood(np.array([[1e6, -1e6]]), np.array([1]), 1.0))


def test_calibration_error_by_hand() -> None:
    # three bins of fifteen: (0.4, 0.467] 1 of 2 right at 0.45; (0.867, 0.933] 2 of 2 at 0.9; the last 0 of 1 at 1.0
    confidences = np.array([0.45, 0.45, 0.9, 0.9, 1.0])
    correct = np.array([True, False, True, True, False])
    assert expected_calibration_error(confidences, correct) == pytest.approx((2 * 0.05 + 2 * 0.1 + 1 * 1.0) / 5)


def test_calibration_error_at_the_ends() -> None:
    assert expected_calibration_error(np.array([0.0, 1.0]), np.array([False, True])) == 0.0
    assert expected_calibration_error(np.array([1.0]), np.array([False])) == 1.0


def test_risk_and_coverage() -> None:
    curve = risk_coverage(
        np.array([0.2, 0.4, 0.6, 0.8]), np.array([False, True, False, True]), np.array([0.0, 0.4, 0.7, 0.9])
    )
    assert curve.coverage.tolist() == [1.0, 0.75, 0.25, 0.0]
    assert curve.risk.tolist() == pytest.approx([0.5, 1 / 3, 0.0, 0.0])
    assert curve.caught.tolist() == [0.0, 0.5, 1.0, 1.0]


def test_without_errors_none_is_caught() -> None:
    curve = risk_coverage(np.array([0.2, 0.4]), np.ones(2, bool), np.array([0.3]))
    assert curve.coverage.tolist() == [0.5]
    assert curve.risk.tolist() == [0.0]
    assert np.isnan(curve.caught).all()


def test_confidence_beside_accuracy() -> None:
    found = reliability(np.array([0.5, 0.3, 0.4, 0.9, 1.0]), np.array([True, True, False, False, True]), bins=4)
    assert found.images.tolist() == [0, 3, 0, 2]
    assert found.correct.tolist() == [0, 2, 0, 1]
    assert found.confidence.tolist() == pytest.approx([np.nan, 0.4, np.nan, 0.95], nan_ok=True)
    assert found.accuracy.tolist() == pytest.approx([np.nan, 2 / 3, np.nan, 0.5], nan_ok=True)


def test_the_threshold_is_the_lowest_that_reaches_the_risk() -> None:
    confidences = np.concatenate([np.full(980, 0.99), np.full(20, 0.305)])
    correct = np.concatenate([np.ones(980, bool), np.zeros(20, bool)])
    assert choose_threshold(confidences, correct) == 0.31


def test_where_nothing_is_wrong_everything_counts() -> None:
    assert choose_threshold(np.full(100, 0.9), np.ones(100, bool)) == 0.01


def test_the_threshold_leaves_little_to_review() -> None:
    rng = np.random.default_rng(5)
    confidences = rng.uniform(0.125, 1, 10_000)
    correct = rng.random(10_000) < confidences
    threshold = choose_threshold(confidences, correct)
    kept = confidences >= threshold
    assert 1 - LARGEST_UNIDENTIFIED <= kept.mean() < 1 - LARGEST_UNIDENTIFIED + 0.02
    assert (~correct[kept]).mean() > TARGET_RISK
