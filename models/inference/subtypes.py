"""What the network tells apart: the classes, two of them by the sub-types that pathologists named in the training images.

Band and segmented neutrophils, and the three ages of immature granulocytes, look less alike than their one class each
suggests, and the boundary where most networks err runs between two of them (band neutrophil and metamyelocyte). So the
network learns the sub-types, and a class's probability is the sum over its sub-types.
"""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass


class Subtype(StrEnum):
    """One output of the network, in the order of the outputs."""

    BAND_NEUTROPHIL = "band neutrophil"
    SEGMENTED_NEUTROPHIL = "segmented neutrophil"
    EOSINOPHIL = "eosinophil"
    BASOPHIL = "basophil"
    LYMPHOCYTE = "lymphocyte"
    MONOCYTE = "monocyte"
    METAMYELOCYTE = "metamyelocyte"
    MYELOCYTE = "myelocyte"
    PROMYELOCYTE = "promyelocyte"
    ERYTHROBLAST = "erythroblast"
    PLATELET = "platelet"


#: The class that each output of the network counts as, in the order of the outputs.
CLASS_OF_SUBTYPE: tuple[CellClass, ...] = (
    CellClass.NEUTROPHIL,
    CellClass.NEUTROPHIL,
    CellClass.EOSINOPHIL,
    CellClass.BASOPHIL,
    CellClass.LYMPHOCYTE,
    CellClass.MONOCYTE,
    CellClass.IG,
    CellClass.IG,
    CellClass.IG,
    CellClass.ERYTHROBLAST,
    CellClass.PLATELET,
)

#: How file names of the data set of Acevedo et al. (2020) begin where they tell the sub-type.
_NAMED_BY_FILE = {
    "BNE": Subtype.BAND_NEUTROPHIL,
    "SNE": Subtype.SEGMENTED_NEUTROPHIL,
    "MMY": Subtype.METAMYELOCYTE,
    "MY": Subtype.MYELOCYTE,
    "PMY": Subtype.PROMYELOCYTE,
}


def possible_outputs(path: Path, label: CellClass) -> npt.NDArray[np.float32]:
    """Return which outputs are right for an image: 1 or 0 for each, shape (11,).

    The one sub-type that the file's name tells, if it belongs to the class; else every sub-type of the class.
    """
    named = _NAMED_BY_FILE.get(path.name.split("_")[0])
    outputs = list(Subtype)
    possible = np.array([of == label for of in CLASS_OF_SUBTYPE], np.float32)
    if named is not None and CLASS_OF_SUBTYPE[outputs.index(named)] == label:
        possible[:] = 0.0
        possible[outputs.index(named)] = 1.0
    return possible


def class_logits(logits: npt.NDArray[np.floating], class_of_output: Sequence[CellClass]) -> npt.NDArray[np.float32]:
    """Return logits per class, shape (n, 8), whose softmax is the sum of the outputs' softmax over each class.

    Args:
        logits: of the network's outputs, shape (n, k).
        class_of_output: the class of each of the k outputs; every class occurs.
    """
    merged = np.empty((len(logits), len(CellClass)), np.float32)
    for position, label in enumerate(CellClass):
        of_class = logits[:, [of == label for of in class_of_output]]
        merged[:, position] = np.logaddexp.reduce(of_class, axis=1)
    return merged
