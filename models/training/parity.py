"""Whether a weights file agrees with the trained network that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.models.card import Parity
from smearcount.models.errors import ModelsError
from smearcount.models.inference.classification import softmax
from smearcount.models.inference.subtypes import class_logits
from smearcount.models.preprocessing import Pixels
from smearcount.models.training.labelled import spread_positions
from smearcount.models.training.release import Precision

if TYPE_CHECKING:
    import keras

#: Largest difference of any probability between the trained network and a float32 weights file.
LARGEST_DIFFERENCE = 1e-4
#: An int8 file rounds every number to 8 bits: this share of the images must keep its class, and the mean difference of a
#: probability must stay under this.
INT8_SAME_CLASS, INT8_MEAN_DIFFERENCE = 0.985, 0.01
_IMAGES = 256


def check_parity(
    network: keras.Model,
    outputs: Sequence[CellClass],
    pixels: Pixels,
    logits: npt.NDArray[np.float32],
    temperature: float,
    precision: Precision = "float32",
) -> Parity:
    """Compare the trained network with the weights file on some of n >= 1 images.

    Args:
        network: the trained one: pixels 0-255 to k logits.
        outputs: the class that each of the k outputs counts as.
        pixels: the images: uint8, shape (n, 128, 128, 3), RGB, 0-255.
        logits: of the classes, from the weights file, for the same images: shape (n, 8).
        temperature: the logits are divided by it before the softmax.
        precision: of the weights file, which decides how far it may differ.

    Raises:
        ModelsError: they differ by more than the precision explains.
    """
    chosen = spread_positions(len(pixels), _IMAGES)
    answers = network.predict(pixels[chosen].astype(np.float32), batch_size=32, verbose=0)
    expected = softmax(class_logits(answers, outputs), temperature)
    found = softmax(logits[chosen], temperature)
    differences = np.abs(expected - found)
    if not np.isfinite(differences).all():
        raise ModelsError("the converted network answers with no finite numbers")
    same = int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
    largest, mean = float(differences.max()), float(differences.mean())
    alike = {
        "float32": largest < LARGEST_DIFFERENCE,
        "int8": same >= INT8_SAME_CLASS * len(chosen) and mean < INT8_MEAN_DIFFERENCE,
    }
    if not alike[precision]:
        raise ModelsError(
            f"the converted network differs from the trained one: {same} of {len(chosen)} images in the same class, "
            f"probabilities by up to {largest:.2g}, {mean:.2g} on average"
        )
    return Parity(
        images=len(chosen), same_class=same, largest_difference=round(largest, 6), mean_difference=round(mean, 6)
    )
