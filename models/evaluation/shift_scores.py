"""What a classifier makes of simulated foreign stains: whether it is right there, or knows that it is not."""

from dataclasses import dataclass

import numpy as np

from smearcount.differential.classes import CellClass
from smearcount.models.evaluation.calibration import expected_calibration_error
from smearcount.models.evaluation.calls import Calls
from smearcount.models.evaluation.ood_scores import sample
from smearcount.models.evaluation.scores import share_of
from smearcount.models.evaluation.trust_fit import TESTED, Known, unseen_shifts
from smearcount.models.inference.classifier import Classifier
from smearcount.models.progress import SILENT, Progress

#: Images that each stain is shown on.
_IMAGES = 192


@dataclass(frozen=True)
class ShiftScores:
    """What became of the images in one simulated stain; shares are 0-1."""

    name: str
    images: int
    #: Share of right calls among all images.
    accuracy: float
    #: Share that is counted, and of right calls among those; None where none is counted.
    counted: float
    accuracy_of_counted: float | None
    expected_calibration_error: float


def score_shift(classifier: Classifier, name: str, images: Known) -> ShiftScores:
    """Classify n >= 1 images and count the right calls."""
    order = list(CellClass)
    calls = classifier.classify(images.pixels)
    right = np.array([order.index(call.cell_class) for call in calls]) == images.labels
    identified = np.array([call.identified for call in calls])
    return ShiftScores(
        name=name,
        images=len(calls),
        accuracy=float(right.mean()),
        counted=float(identified.mean()),
        accuracy_of_counted=share_of(right[identified]),
        expected_calibration_error=expected_calibration_error(np.array([call.confidence for call in calls]), right),
    )


def score_shifts(classifier: Classifier, calls: Calls, progress: Progress = SILENT) -> tuple[ShiftScores, ...]:
    """Show a classifier some of the images in every simulated stain that no confidence is fitted to.

    Args:
        classifier: the one that made the calls.
        calls: at least one; at most 192 of the images are used, as many of every class, read again from their files.
        progress: told after each stain.

    Returns:
        One entry per stain, in the order of `TESTED`; the same images always give the same ones.

    Raises:
        ImageRefused: an image has changed since it was classified.
    """
    pixels, labels = sample(calls, _IMAGES)
    scores = []
    for number, (name, images) in enumerate(unseen_shifts(Known(pixels, labels), step=1)):
        progress.step("simulated stains", number, len(TESTED))
        scores.append(score_shift(classifier, name, images))
    progress.step("simulated stains", len(TESTED), len(TESTED))
    return tuple(scores)
