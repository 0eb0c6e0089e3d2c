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
    """n decoded images and what they show."""

    #: uint8, shape (n, 128, 128, 3), RGB, 0-255.
    pixels: Pixels
    #: Classes, as indices of CellClass: int64, shape (n,).
    labels: npt.NDArray[np.int64]
    #: Index of the network's output that is right, or of the first of several right ones: int64, shape (n,).
    groups: npt.NDArray[np.int64]


def load_labelled(tree: Path, outputs: Sequence[CellClass]) -> Labelled:
    """Read and decode a folder that holds one folder of images per class.

    Args:
        tree: the folder.
        outputs: the class that each output of the network counts as.

    Raises:
        ModelsError: there are no images, or one of them cannot be used (ImageRefused).
    """
    files = labelled_files(tree)
    pixels, labels = load_pixels(files, decode_cell)
    if tuple(outputs) == CLASS_OF_SUBTYPE:
        groups = [int(possible_outputs(file.path, file.label).argmax()) for file in files]
    else:
        groups = [tuple(outputs).index(file.label) for file in files]
    return Labelled(pixels, labels, np.array(groups))


def spread_positions(n: int, most: int) -> npt.NDArray[np.int64]:
    """Return at most `most` of the positions 0 to n - 1, spread evenly: int64, rising.

    Images are sorted by class, so this takes some of every class.
    """
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
