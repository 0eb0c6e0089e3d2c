"""Calls compared with labels: accuracy, recall, precision, F1 and confusion, and what is left unidentified.

All functions are pure.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.models.evaluation.calibration import expected_calibration_error


@dataclass(frozen=True)
class ClassScores:
    """One class: shares are 0-1, None where no image has the class as its label or call, so that there is no share."""

    images: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True)
class Scores:
    """Calls against labels. Accuracy, recall, precision and confusion count every image, identified or not."""

    images: int
    accuracy: float
    #: Mean recall over the classes that have images, also known as balanced accuracy: a rare class weighs as much as a
    #: common one.
    macro_recall: float
    classes: dict[CellClass, ClassScores]
    #: Images by label (row) and call (column), both in the order of CellClass.
    confusion: tuple[tuple[int, ...], ...]
    expected_calibration_error: float
    #: Share of the images left unidentified.
    unidentified: float
    #: Share of wrong calls among the unidentified; None where there are none.
    errors_among_unidentified: float | None
    #: Share of all wrong calls that are unidentified; None where no call is wrong.
    errors_unidentified: float | None
    #: Share of right calls among the others; None where there are none.
    accuracy_of_identified: float | None


def score(
    probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.integer], identified: npt.NDArray[np.bool_]
) -> Scores:
    """Score the calls of n >= 1 images; an image is called its most probable class.

    Args:
        probabilities: of every class, in the order of CellClass: shape (n, 8), 0-1.
        labels: the right classes, as indices of CellClass: shape (n,), 0-7.
        identified: whether each image is counted rather than left for review: shape (n,).

    Raises:
        ValueError: there is no image, or the shapes do not fit each other.
        IndexError: a label is no index of CellClass.
    """
    calls, confidences = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct = calls == labels
    confusion = np.zeros((len(CellClass), len(CellClass)), dtype=np.int64)
    np.add.at(confusion, (labels, calls), 1)
    classes = {label: _class_scores(confusion, index) for index, label in enumerate(CellClass)}
    recalls = [scores.recall for scores in classes.values() if scores.recall is not None]
    return Scores(
        images=len(labels),
        accuracy=float(correct.mean()),
        macro_recall=float(np.mean(recalls)),
        classes=classes,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        expected_calibration_error=expected_calibration_error(confidences, correct),
        unidentified=float((~identified).mean()),
        errors_among_unidentified=share_of((~correct)[~identified]),
        errors_unidentified=share_of((~identified)[~correct]),
        accuracy_of_identified=share_of(correct[identified]),
    )


def _class_scores(confusion: npt.NDArray[np.int64], index: int) -> ClassScores:
    right, seen, called = class_counts(confusion, index)
    return ClassScores(
        images=seen,
        precision=right / called if called else None,
        recall=right / seen if seen else None,
        f1=2 * right / (seen + called) if seen + called else None,
    )


def class_counts(confusion: npt.NDArray[np.int64], index: int) -> tuple[int, int, int]:
    """Return three numbers of images of the class at `index`: those called rightly, those labelled so, those called so.

    Args:
        confusion: images by label (row) and call (column): shape (8, 8).
        index: of the class, in the order of CellClass.
    """
    return int(confusion[index, index]), int(confusion[index].sum()), int(confusion[:, index].sum())


def share_of(flags: npt.NDArray[np.bool_]) -> float | None:
    """Return the share of true ones among n flags, shape (n,), 0-1; None where there are none at all."""
    return float(flags.mean()) if len(flags) else None
