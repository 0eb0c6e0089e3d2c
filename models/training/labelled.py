"""Decoded images with their labels, as export and import need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.models.evaluation.dataset import labelled_files, load_pixels
from smearcount.models.inference.subtypes import CLASS_OF_SUBTYPE, possible_outputs
from smearcount.models.preprocessing import Pixels, decode_cell


@dataclass(frozen=True)
class Labelled:
    """Decoded images and what they show."""

    pixels: Pixels
    #: Indices of CellClass: shape (n,).
    labels: npt.NDArray[np.int64]
    #: Index of the network's output that is right, or of the first of several: shape (n,).
    groups: npt.NDArray[np.int64]


def load_labelled(tree: Path, outputs: Sequence[CellClass]) -> Labelled:
    """Read a folder of class folders for a network whose outputs count as the classes `outputs`.

    Raises:
        ModelsError: no images there, or one of them cannot be used.
    """
    files = labelled_files(tree)
    pixels, labels = load_pixels(files, decode_cell)
    if tuple(outputs) == CLASS_OF_SUBTYPE:
        groups = [int(possible_outputs(file.path, file.label).argmax()) for file in files]
    else:
        groups = [tuple(outputs).index(file.label) for file in files]
    return Labelled(pixels, labels, np.array(groups))


def spread_positions(n: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` positions, evenly over n: the images are sorted by class, so of every class some."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
