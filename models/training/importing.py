"""A site's own Keras model: whether it can be used, and what it takes to use it.

A Keras file says nothing about what its outputs mean or how its pixels were scaled. A wrong guess would count one class as
another, so the site's labelled images decide: every output must answer to its own class.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smearcount.differential.classes import CellClass
from smearcount.models.card import TrainingData
from smearcount.models.errors import ModelInvalid
from smearcount.models.inference.keras_runtime import load_keras, with_features
from smearcount.models.network_input import INPUT_SIDE, PREPROCESSING_VERSION
from smearcount.models.training.labelled import Labelled

if TYPE_CHECKING:
    import keras

#: Keras's image_dataset_from_directory numbers class folders in this order.
ALPHABETICAL = tuple(sorted(CellClass))

#: Each class's images must be called that class at least this often: chance is 0.125, and a network that was fed pixels in
#: another scale, or whose outputs mean other classes, stays far below in at least one class.
LEAST_RECALL = 0.5

NOT_STATED = "not stated by the site that imported the model"

LIMITS = (
    "Imported by a site; nothing is known of it beyond what this card says.",
    "For research use until the site has validated it on its own slides.",
)


def stated(about: str | None) -> TrainingData:
    """Return what the card of an imported model says of its training images, `about` being the site's own words."""
    return TrainingData(
        text=about or NOT_STATED,
        source=NOT_STATED,
        doi=NOT_STATED,
        licence=NOT_STATED,
        attribution=NOT_STATED,
        split="temperature, threshold and every figure are from the labelled images given at the import",
    )


def load_foreign(path: Path, order: Sequence[CellClass]) -> keras.Model:
    """Read a site's Keras file as a network that returns logits.

    Args:
        path: a .keras or .h5 file.
        order: the class of each of its outputs.

    Raises:
        ModelInvalid: it cannot be read, takes other images or has other outputs; the message says what is needed.
        RuntimeMissing: TensorFlow is not installed.
    """
    network = load_keras(path)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ModelInvalid(
            f"{path} has {len(network.inputs)} inputs and {len(network.outputs)} outputs; one of each is needed"
        )
    _check_input(path, tuple(network.inputs[0].shape))
    network = _without_softmax(path, network)
    found = tuple(network.outputs[0].shape)
    if found != (None, len(order)):
        raise ModelInvalid(
            f"{path} returns {_shown(found)} per image; needed is one number for each of {', '.join(order)}"
        )
    with_features(network)  # refuses what has no dense layer at its end
    return network


def _check_input(path: Path, found: tuple[int | None, ...]) -> None:
    wanted = (None, INPUT_SIDE, INPUT_SIDE, 3)
    if len(found) != len(wanted) or any(side not in {None, right} for side, right in zip(found, wanted, strict=True)):
        raise ModelInvalid(
            f"{path} takes images of {_shown(found)}; smearcount hands over {_shown(wanted)}, RGB 0-255 "
            f"({PREPROCESSING_VERSION}: the central square of the image at half its size). Train it on the pixels that "
            "smearcount.models.preprocessing.decode_cell returns: training and use must see the same"
        )


def _shown(shape: tuple[int | None, ...]) -> str:
    return " × ".join("any" if side is None else str(side) for side in shape[1:])


def _without_softmax(path: Path, network: keras.Model) -> keras.Model:
    """Return the network without its softmax, if it ends in one: temperature and threshold need the logits."""
    import keras

    last = network.layers[-1]
    activation = getattr(last, "activation", None)
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and activation is keras.activations.softmax
    ):
        return keras.Model(network.inputs, network.layers[-2].output)
    if activation in {None, keras.activations.linear}:
        return network
    if activation is keras.activations.softmax:
        last.activation = keras.activations.linear
        return keras.Model(network.inputs, network.outputs)
    raise ModelInvalid(f"{path} ends in {activation.__name__}; needed are logits or a softmax over the classes")


def check_classes(network: keras.Model, order: Sequence[CellClass], images: Labelled) -> None:
    """Check each output of the network on labelled images of its class.

    Args:
        network: returns one logit per class.
        order: the class of each of its outputs, which is what is checked.
        images: of every class.

    Raises:
        ModelInvalid: a class has no images, or too few of them are called that class.
    """
    labels = images.labels
    calls = network.predict(images.pixels.astype(np.float32), batch_size=32, verbose=0).argmax(axis=1)
    missing = [label for index, label in enumerate(CellClass) if not (labels == index).any()]
    if missing:
        raise ModelInvalid(
            f"there are no labelled images of {', '.join(missing)}; every class is needed to check what the outputs mean"
        )
    for index, label in enumerate(CellClass):
        of_class = calls[labels == index]
        right = float((of_class == list(order).index(label)).mean())
        if right < LEAST_RECALL:
            most = int(np.bincount(of_class, minlength=len(order)).argmax())
            raise ModelInvalid(
                f"only {right:.0%} of the {len(of_class)} images of {label} are called {label}; most go to output {most}, "
                f"which was said to be {order[most]}. Give the classes in the order of the network's outputs "
                "(--classes), and check that the network takes pixels from 0 to 255"
            )
