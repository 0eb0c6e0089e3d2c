"""How far a call can be trusted: the probability that it is right, also where the images are of another kind.

A network is sure of itself where it has learnt to be, on images like those it was trained on. Elsewhere its softmax stays
sure and is wrong. So the confidence of a call is computed from several clues: what the softmax says, how unlike the image is
to the training images in an early and in a late layer, how far it is from the class that it is called and from the others,
and the sharpness of the image. A logistic regression weighs them (Platt 1999). It is fitted on validation images as they are,
in simulated foreign stains, and on strangers, of which no call is right (`models.evaluation.trust_fit`). Where the colours are
too far from all that is known, no call is trusted.

The other classes keep their order: the logits are divided by the temperature, one per image, at which the softmax gives the
class called that confidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.models.errors import ModelInvalid
from smearcount.models.inference.appearance import Appearance
from smearcount.models.inference.classification import softmax
from smearcount.models.inference.ood import REMEDY, OodModel, read_arrays, stored
from smearcount.models.preprocessing import Pixels

Floats = npt.NDArray[np.float64]

#: The clues, in the order of their weights, and whether more of each speaks for the call (1) or against it (-1).
CLUES: dict[str, int] = {
    "log odds of the softmax": 1,
    "unlikeness, early layer": -1,
    "unlikeness, late layer": -1,
    "distance from the class called, late layer": -1,
    "distance from the other classes beside it": 1,
    "blur": -1,
    "sharpening": -1,
}

#: No clue counts beyond these: the regression has seen nothing there, and far away is far away.
_LOG_ODDS = (-3.0, 9.0)
_FARTHEST = 12.0
#: Confidence of a guess among the eight classes.
GUESS = 1 / len(CellClass)


@dataclass(frozen=True, eq=False)
class TrustModel:
    """What the confidence is computed with; g is the number of groups, the outputs of the network."""

    #: Likeness to the training images as they are and in simulated stains, by the last features.
    late: OodModel
    appearance: Appearance
    #: An image whose colours are further away than this is trusted no more than a guess.
    colour_limit: float
    #: Class of each group, as an index of CellClass: int64, shape (g,).
    group_classes: npt.NDArray[np.int64]
    #: Weight of each clue, and the constant after them: float64, shape (number of clues + 1,).
    weights: Floats

    def clues(self, logits: npt.NDArray[np.floating], seen: "Seen") -> Floats:
        """Return the clues of n >= 0 images: float64, shape (n, number of clues).

        Args:
            logits: of the classes, divided by the model's temperature: shape (n, 8).
            seen: what else is known of them.
        """
        called = logits.argmax(axis=1) if len(logits) else np.empty(0, np.int64)
        sure = softmax(logits).max(axis=1, initial=0.0)
        odds = np.clip(np.log(np.maximum(sure, 1e-12) / np.maximum(1.0 - sure, 1e-12)), *_LOG_ODDS)
        distances = self.late.distances(seen.features[:, -self.late.width :])
        of_called = self.group_classes == called[:, np.newaxis]
        own = np.where(of_called, distances, np.inf).min(axis=1, initial=np.inf)
        other = np.where(of_called, np.inf, distances).min(axis=1, initial=np.inf)
        own, other = np.minimum(own, _FARTHEST), np.minimum(other, _FARTHEST)
        blur = np.log(np.maximum(seen.sharpness, 1e-3))
        columns = (
            odds,
            np.minimum(seen.ood_scores, _FARTHEST),
            np.minimum(distances.min(axis=1, initial=np.inf), _FARTHEST),
            own,
            np.log(np.maximum(other, 1e-3) / np.maximum(own, 1e-3)),
            np.maximum(-blur, 0.0),
            np.maximum(blur, 0.0),
        )
        return np.stack(columns, axis=1)

    def confidences(self, logits: npt.NDArray[np.floating], seen: "Seen") -> Floats:
        """Return the probability that each call is right: float64, shape (n,), 0-1; for the arguments see `clues`."""
        # A sum over each row for itself: an image's result must not depend on the others.
        linear = (self.clues(logits, seen) * self.weights[:-1]).sum(axis=1) + self.weights[-1]
        confidences: Floats = 1.0 / (1.0 + np.exp(-linear))
        # A regression goes on as it began beyond all that it has seen, and a network can be sure of any colours.
        return np.where(seen.colour_distances > self.colour_limit, np.minimum(confidences, GUESS), confidences)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what an .npz file stores."""
        return {
            **{f"late_{name}": array for name, array in self.late.to_arrays().items()},
            "colour_mean": self.appearance.mean,
            "colour_whitening": self.appearance.whitening,
            "appearance_typical": self.appearance.typical,
            "colour_limit": np.array([self.colour_limit]),
            "group_classes": self.group_classes,
            "weights": self.weights,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read what `to_arrays` has returned.

        Raises:
            ModelInvalid: an array is missing or does not fit the others.
        """
        try:
            late = OodModel.from_arrays({name: arrays[f"late_{name}"] for name in ("whitening", "means", "typical")})
            appearance = Appearance(arrays["colour_mean"], arrays["colour_whitening"], arrays["appearance_typical"])
            classes, weights, limit = arrays["group_classes"], arrays["weights"], arrays["colour_limit"]
        except KeyError as error:
            raise ModelInvalid(f"the training images' likeness lacks {error}; {REMEDY}") from None
        shapes = tuple(array.shape for array in (*vars(appearance).values(), weights, limit))
        if shapes != ((6,), (6, 6), (2,), (len(CLUES) + 1,), (1,)) or classes.shape != late.typical.shape:
            raise ModelInvalid(f"the training images' likeness holds arrays of wrong shapes, {shapes}; {REMEDY}")
        if not all(np.isfinite(array).all() for array in (*vars(appearance).values(), weights, limit)):
            raise ModelInvalid(f"the training images' likeness holds numbers that are not finite; {REMEDY}")
        return cls(late, appearance, float(limit[0]), classes, weights)


@dataclass(frozen=True, eq=False)
class Seen:
    """What is known of n images beside the logits."""

    #: As the network returns them: shape (n, d).
    features: npt.NDArray[np.float32]
    #: Shape (n,) each, about 1 for images like the training images.
    ood_scores: Floats
    colour_distances: Floats
    sharpness: Floats

    @classmethod
    def of(cls, pixels: Pixels, features: npt.NDArray[np.float32], ood_scores: Floats, appearance: Appearance) -> Self:
        """Look at n images: pixels uint8, shape (n, 128, 128, 3); features, shape (n, d); OOD scores, shape (n,)."""
        return cls(features, ood_scores, appearance.colour_distances(pixels), appearance.sharpness(pixels))


def softened(logits: npt.NDArray[np.floating], confidences: Floats) -> Floats:
    """Return the softmax at the temperature of each image at which the class called has its confidence.

    Args:
        logits: of the classes: shape (n, k).
        confidences: shape (n,), 0-1; a confidence under 1/k cannot be the largest of k probabilities and counts as 1/k.

    Returns:
        float64, shape (n, k), 0-1; each row sums up to 1, and its order is that of the logits.
    """
    margins = logits.astype(np.float64) - logits.max(axis=1, keepdims=True, initial=-np.inf)
    low, high = np.full((2, len(logits), 1), [[[-12.0]], [[8.0]]])
    for _ in range(40):  # 20 / 2^40: to eleven digits
        middle = (low + high) / 2
        is_surer = 1.0 / np.exp(margins * np.exp(middle)).sum(axis=1, keepdims=True) > confidences[:, np.newaxis]
        low, high = np.where(is_surer, low, middle), np.where(is_surer, middle, high)
    return softmax(margins * np.exp(high))


def likeness_bytes(ood_model: OodModel, trust: TrustModel | None) -> bytes:
    """Return the content of a likeness file; the same models always give the same bytes."""
    return stored(ood_model.to_arrays() | ({} if trust is None else trust.to_arrays()))


def read_likeness(content: bytes) -> tuple[OodModel, TrustModel | None]:
    """Read a likeness file; the second part is None in files of earlier versions.

    Raises:
        ModelInvalid: the bytes are something else, or damaged.
    """
    arrays = read_arrays(content)
    return OodModel.from_arrays(arrays), TrustModel.from_arrays(arrays) if "weights" in arrays else None
