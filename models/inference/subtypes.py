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

#: Beginnings of file names in the data set of Acevedo et al. (2020) that tell the sub-type.
_NAMED_BY_FILE = {
    "BNE": Subtype.BAND_NEUTROPHIL,
    "SNE": Subtype.SEGMENTED_NEUTROPHIL,
    "MMY": Subtype.METAMYELOCYTE,
    "MY": Subtype.MYELOCYTE,
    "PMY": Subtype.PROMYELOCYTE,
}


def possible_outputs(path: Path, label: CellClass) -> npt.NDArray[np.float32]:
    """Return which outputs are right for an image: float32, shape (11,), 1 for each right one and 0 for the others.

    Right is the one sub-type that the file's name tells, if it belongs to the class, otherwise every sub-type of the class.

    Args:
        path: of the image file; only its name is looked at.
        label: the class of the image.
    """
    named = _NAMED_BY_FILE.get(path.name.split("_")[0])
    outputs = list(Subtype)
    possible = np.array([of == label for of in CLASS_OF_SUBTYPE], np.float32)
    if named is not None and CLASS_OF_SUBTYPE[outputs.index(named)] == label:
        possible[:] = 0.0
        possible[outputs.index(named)] = 1.0
    return possible


def class_logits(logits: npt.NDArray[np.floating], class_of_output: Sequence[CellClass]) -> npt.NDArray[np.float32]:
    """Return logits per class, whose softmax is the sum of the outputs' softmax over each class.

    The logit of a class is log(sum exp(z)) over the logits z of its outputs.

    Args:
        logits: of the network's outputs, shape (n, k).
        class_of_output: the class of each of the k outputs; every class occurs.

    Returns:
        float32, shape (n, 8), in the order of CellClass.

    Raises:
        ValueError: a class has no output.
        IndexError: there are not k classes.
    """
    merged = np.empty((len(logits), len(CellClass)), np.float32)
    for position, label in enumerate(CellClass):
        of_class = logits[:, [of == label for of in class_of_output]]
        merged[:, position] = np.logaddexp.reduce(of_class, axis=1)
    return merged
