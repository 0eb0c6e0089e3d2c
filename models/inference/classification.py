"""What a network's numbers mean for each cell: its class, how sure that is, and whether it is counted. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass

_CLASSES = tuple(CellClass)


@dataclass(frozen=True)
class Classification:
    """What the network calls one cell, and whether that counts."""

    #: The most probable class, also where it is too improbable to be counted.
    cell_class: CellClass
    #: Probability of that class, 0-1.
    confidence: float
    #: Probability of every class, in the order of CellClass; they sum to 1.
    probabilities: tuple[float, ...]
    #: False where the confidence is under the threshold or the OOD score over its limit: the cell counts as unidentified.
    identified: bool
    #: Distance from the training images, about 1 for one of them; None where the model gives no OOD scores.
    ood_score: float | None = None
    #: Distance of the image's colours from those of the training images, and its sharpness in units of theirs: about 1 for one
    #: of them; None where the model does not tell.
    colour_distance: float | None = None
    sharpness: float | None = None


def softmax(logits: npt.NDArray[np.floating], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return the probabilities that logits stand for: float64, shape (n, k), 0-1; each row sums up to 1.

    p_i = exp(z_i / T) / sum_j exp(z_j / T), with the logits z and the temperature T (Guo et al., ICML 2017, equation 2).

    Args:
        logits: shape (n, k), n >= 0, k >= 1.
        temperature: more than 0; above 1 it makes the network less sure.
    """
    scaled = logits.astype(np.float64) / temperature
    # The largest becomes exp(0): nothing overflows, and the quotient is the same.
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities


def classifications(
    probabilities: npt.NDArray[np.float64],
    threshold: float,
    ood_scores: npt.NDArray[np.float64] | None = None,
    ood_limit: float = float("inf"),
    looks: Sequence[tuple[float, float]] | None = None,
) -> list[Classification]:
    """Turn the numbers of n >= 0 cells into calls.

    Args:
        probabilities: of every class, in the order of CellClass: shape (n, 8), 0-1.
        threshold: a cell called with less confidence is unidentified, with exactly this it is not.
        ood_scores: shape (n,); None where the model gives none.
        ood_limit: a cell with a higher OOD score is unidentified, with exactly this it is not.
        looks: colour distance and sharpness of each image; None where the model does not tell.

    Raises:
        ValueError: there is not one OOD score or look per cell.
    """
    scores: Sequence[float | None] = [None] * len(probabilities) if ood_scores is None else ood_scores.tolist()
    calls = []
    seen: Sequence[tuple[float | None, float | None]] = [(None, None)] * len(probabilities) if looks is None else looks
    for row, ood_score, look in zip(probabilities.tolist(), scores, seen, strict=True):
        confidence = max(row)
        identified = confidence >= threshold and (ood_score is None or ood_score <= ood_limit)
        calls.append(
            Classification(_CLASSES[row.index(confidence)], confidence, tuple(row), identified, ood_score, *look)
        )
    return calls
