"""Fits the confidence to labelled cells: which cells decide what is said here, and in the model card.

The distances are fitted to the training images, as they are and in simulated stains. The weights of the clues are fitted to
the validation images as they are, in the same simulated stains, each measured by distances that were fitted without it, and
turned into strangers. Some simulated stains are left out of both (`TESTED`): what the card and `smearcount model evaluate` state
of foreign stains is measured on those alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smearcount.models.evaluation.stain_shifts import STAIN_SHIFTS, StainShift
from smearcount.models.evaluation.strangers import STRANGERS
from smearcount.models.inference.appearance import fit_appearance
from smearcount.models.inference.ood import OodModel, fit_ood_model
from smearcount.models.inference.runtime import Reading
from smearcount.models.inference.trust import CLUES, Seen, TrustModel
from smearcount.models.preprocessing import Pixels
from smearcount.models.progress import SILENT, Progress

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Read = Callable[[Pixels], Reading]

#: Simulated stains that nothing is fitted to: light, stain, camera and size are each among them.
TESTED: tuple[StainShift, ...] = tuple(
    shift
    for shift in STAIN_SHIFTS
    if shift.name in {"red stain", "reddish nuclei", "cold light", "dim microscope", "soft camera", "smaller, greenish"}
)
FITTED: tuple[StainShift, ...] = tuple(shift for shift in STAIN_SHIFTS if shift not in TESTED)

#: One in so many training images is also shown in a simulated stain, one in so many validation images in each of them and as
#: each stranger.
_TRAINING_STEP, VALIDATION_STEP, _STRANGER_STEP = 3, 6, 12
_SEED = 20261127

CONFIDENCE_RULE = (
    "the probability that the call is right, by logistic regression on the clues; the logits are divided by the temperature "
    "before the first of them"
)
_FITTED_NAMES, _STRANGER_NAMES = ", ".join(shift.name for shift in FITTED), ", ".join(STRANGERS)
CHOSEN_ON = (
    f"Distances: the training images, one in {_TRAINING_STEP} of them also in a simulated stain. Weights of the clues: the "
    f"validation images, one in {VALIDATION_STEP} also in each of these simulated stains: {_FITTED_NAMES}; and one in "
    f"{_STRANGER_STEP} as each of these strangers: {_STRANGER_NAMES}. Temperature, threshold and limit: the validation images, "
    "which the figures are from too. The figures under shifts are from simulated stains that chose nothing."
)

#: What the validation images as they are, in all simulated stains, and as strangers weigh together.
_HOME, _SHIFTED, _STRANGE = 0.8, 0.15, 0.05
#: Penalty on the squares of the weights, as a share of the sum of what the images weigh.
_PENALTY = 1e-4
_STEPS = 60
#: How often a network must be right in a simulated stain for its colours to count as known, and how much further than those
#: colours may lie.
_LEAST_ACCURACY, _BEYOND = 0.9, 1.15
#: Share of the validation images, as they are, whose colours are known in any case.
_HOME_REACH = 0.999


@dataclass(frozen=True, eq=False)
class Grouped:
    """Training images and what the network makes of them; n is their number."""

    #: uint8, shape (n, side, side, 3), RGB, 0-255.
    pixels: Pixels
    #: The network's output that is right for each: shape (n,).
    groups: Indices
    #: As the network returns them: float32, shape (n, d).
    features: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Known:
    """Images with their classes; n is their number."""

    #: uint8, shape (n, side, side, 3), RGB, 0-255.
    pixels: Pixels
    #: As indices of CellClass: shape (n,).
    labels: Indices


@dataclass(frozen=True, eq=False)
class FittedTrust:
    """What is known of the training images, and how far calls can be trusted."""

    ood_model: OodModel
    trust: TrustModel


def fit_trust(
    read: Read,
    to_logits: Callable[[Reading], Floats],
    training: Grouped,
    validation: Known,
    group_classes: Indices,
    early_width: int,
    progress: Progress = SILENT,
) -> FittedTrust:
    """Fit the OOD model and the confidence of a network.

    Args:
        read: the network, as workers will run it.
        to_logits: from a reading of n images to logits of the classes, divided by the temperature: shape (n, 8).
        training: the images that the network was trained on.
        validation: other images, of which each kind gets its share.
        group_classes: the class of each group of the training images, in rising order of the outputs: shape (g,).
        early_width: number of features of the early layer; those of the last layer come after them, unless there are none.
        progress: told after each simulated stain and each kind of stranger.

    Raises:
        ModelsError: a group has fewer than 10 training images, or all its images have the same features.
    """
    shifted = []
    for number, shift in enumerate(FITTED):
        progress.step("training images in simulated stains", number, len(FITTED))
        part = np.arange(len(training.pixels))[::_TRAINING_STEP][number :: len(FITTED)]
        images = shift.make(training.pixels[part], _rng(shift.name))
        shifted.append((features_of(read(images)), training.groups[part]))
    appearance = fit_appearance(training.pixels)

    def without(left_out: int | None) -> FittedTrust:
        """Return the models, still without weights, that have never seen one of the stains."""
        others = [one for number, one in enumerate(shifted) if number != left_out]
        features = np.concatenate([training.features, *(found for found, _ in others)])
        groups = np.concatenate([training.groups, *(group for _, group in others)])
        late = fit_ood_model(features[:, early_width if features.shape[1] > early_width else 0 :], groups)
        trust = TrustModel(late, appearance, np.inf, group_classes, np.zeros(len(CLUES) + 1))
        return FittedTrust(fit_ood_model(features[:, :early_width], groups), trust)

    unweighted = without(None)
    clues, right, weights = [], [], []
    reach: list[tuple[Floats, float]] = []
    for number, (images, labels, weight) in enumerate(_fitting_sets(validation)):
        progress.step(
            "validation images in simulated stains and as strangers", number, 1 + len(FITTED) + len(STRANGERS)
        )
        reading = read(images)
        logits, found = to_logits(reading), features_of(reading)
        is_stain = 0 < number <= len(FITTED)
        # A stain that the distances were fitted to looks nearer than a site's own ever will.
        known = without(number - 1) if is_stain else unweighted
        seen = Seen.of(images, found, known.ood_model.scores(found[:, :early_width]), appearance)
        clues.append(known.trust.clues(logits, seen))
        right.append(np.zeros(len(images), bool) if labels is None else logits.argmax(axis=1) == labels)
        weights.append(np.full(len(images), weight / len(images)))
        if number <= len(FITTED):
            reach.append((seen.colour_distances, float(right[-1].mean())))
    fitted = fit_weights(np.concatenate(clues), np.concatenate(right), np.concatenate(weights))
    trust = replace(unweighted.trust, weights=fitted, colour_limit=colour_limit(reach[0][0], reach[1:]))
    return FittedTrust(unweighted.ood_model, trust)


def colour_limit(home: Floats, stains: Sequence[tuple[Floats, float]]) -> float:
    """Return the colour distance up to which a network can be trusted.

    It is a little more than the median of the furthest stain in which, as in all nearer ones, the network is mostly right, and
    never so little that it would stop images of the laboratory that the network is from.

    Args:
        home: distances of the validation images as they are: shape (n,), n >= 1.
        stains: for each simulated stain the distances of its images, and the share called rightly.
    """
    furthest = 0.0
    for distance, accuracy in sorted((float(np.median(distances)), accuracy) for distances, accuracy in stains):
        if accuracy < _LEAST_ACCURACY:
            break
        furthest = distance
    return max(_BEYOND * furthest, float(np.quantile(home, _HOME_REACH)))


def fit_weights(clues: Floats, right: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the weight of each clue and the constant, by logistic regression: float64, shape (number of clues + 1,).

    A clue that would count the wrong way round (`CLUES` says which way is right) gets the weight 0: beyond what was seen in
    the fit, it would make strange images trusted.

    Args:
        clues: shape (n, number of clues).
        right: whether each call is right: shape (n,).
        weights: what each image weighs: shape (n,).
    """
    signs = np.array(list(CLUES.values()), np.float64)
    used = np.ptp(clues, axis=0) > 0
    while True:
        fitted = _regression(clues[:, used], right, weights)
        found = np.zeros(len(signs))
        found[used] = fitted[:-1]
        wrong = found * signs < 0
        if not wrong.any():
            return np.append(found, fitted[-1])
        spread = clues.std(axis=0) * np.abs(found) * wrong
        used[int(spread.argmax())] = False


def _regression(clues: Floats, right: npt.NDArray[np.bool_], weights: Floats) -> Floats:
    """Logistic regression by Newton's method, with a small penalty on the weights of the standardised clues."""
    mean, spread = clues.mean(axis=0), clues.std(axis=0)
    rows = np.column_stack([(clues - mean) / spread, np.ones(len(clues))])
    penalty = np.append(np.full(clues.shape[1], _PENALTY * weights.sum()), 1e-9)
    fitted = np.zeros(rows.shape[1])
    for _ in range(_STEPS):
        likely = 1.0 / (1.0 + np.exp(-np.clip(rows @ fitted, -30, 30)))
        slope = rows.T @ (weights * (likely - right)) + penalty * fitted
        curve = (rows * (weights * likely * (1 - likely))[:, np.newaxis]).T @ rows + np.diag(penalty)
        step = np.linalg.solve(curve, slope)
        # A long first step can overshoot where nearly all calls are right.
        fitted -= step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    scaled = fitted[:-1] / spread
    return np.append(scaled, fitted[-1] - (scaled * mean).sum())


def _fitting_sets(validation: Known) -> Iterator[tuple[Pixels, Indices | None, float]]:
    """Yield images, their labels (None: no call is right), and what they weigh together."""
    yield validation.pixels, validation.labels, _HOME
    for number, shift in enumerate(FITTED):
        chosen = _every(VALIDATION_STEP, number, validation)
        yield shift.make(chosen.pixels, _rng(shift.name, 1)), chosen.labels, _SHIFTED / len(FITTED)
    for number, (name, make) in enumerate(STRANGERS.items()):
        yield make(_every(_STRANGER_STEP, number, validation).pixels, _rng(name)), None, _STRANGE / len(STRANGERS)


def unseen_shifts(validation: Known, step: int) -> Iterator[tuple[str, Known]]:
    """Yield, by name, one in `step` of the images in each simulated stain that nothing is fitted to."""
    for number, shift in enumerate(TESTED):
        chosen = _every(step, number, validation)
        yield shift.name, Known(shift.make(chosen.pixels, _rng(shift.name, 2)), chosen.labels)


def _every(step: int, start: int, images: Known) -> Known:
    """Return one in `step` of the images, at least one; they are sorted by class, so that every class is among them."""
    chosen = np.arange(start % min(step, len(images.labels)), len(images.labels), step)
    return Known(images.pixels[chosen], images.labels[chosen])


def features_of(reading: Reading) -> npt.NDArray[np.float32]:
    """Return a reading's features: float32, shape (n, d)."""
    assert reading.features is not None  # noqa: S101 (for the type checker: only networks with features get here)
    return reading.features


def _rng(name: str, use: int = 0) -> np.random.Generator:
    """Return random numbers that depend on the name alone, so that another kind beside it changes nothing."""
    return np.random.default_rng([_SEED, use, *name.encode()])
