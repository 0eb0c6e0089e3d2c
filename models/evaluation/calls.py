"""What labelled images were called."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Calls:
    """What n labelled images were called, in the order of their files; C is the number of classes, 8."""

    paths: tuple[Path, ...]
    #: The right classes, as indices of CellClass: int64, shape (n,).
    labels: npt.NDArray[np.int64]
    #: As the classifier gives them, after its temperature: float64, shape (n, C), 0-1; each row sums up to 1.
    probabilities: npt.NDArray[np.float64]
    #: Whether each image is counted rather than left for review: bool, shape (n,).
    identified: npt.NDArray[np.bool_]
    #: Distance from the training images, about 1 for one of them: float64, shape (n,); None where the model gives none.
    ood_scores: npt.NDArray[np.float64] | None

    @property
    def called(self) -> npt.NDArray[np.int64]:
        """Most probable classes, as indices of CellClass: int64, shape (n,)."""
        called: npt.NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return called

    @property
    def confidences(self) -> npt.NDArray[np.float64]:
        """Probabilities of the classes called: float64, shape (n,), 0-1."""
        confidences: npt.NDArray[np.float64] = self.probabilities.max(axis=1)
        return confidences

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each call is the label: bool, shape (n,)."""
        correct: npt.NDArray[np.bool_] = self.called == self.labels
        return correct
