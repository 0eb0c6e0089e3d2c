"""From a network in Keras to the content of a file: .keras, or .tflite for LiteRT."""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smearcount.models.inference.keras_runtime import with_features
from smearcount.models.inference.stderr_filter import filtered_stderr
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import Pixels
from smearcount.models.training.labelled import spread_positions
from smearcount.models.training.release import Precision

if TYPE_CHECKING:
    import keras

#: Images per tensor. Measured on two AVX2 cores, images/s with one thread and with two: a tensor of 1 gave 661 and 530,
#: of 4 678 and 610, of 8 636 and 588, of 32 538 and 519 (and 82 MB instead of 30).
IMAGES_PER_TENSOR = 4

#: Training images that the ranges of int8 numbers are taken from.
_CALIBRATION_IMAGES = 512


def keras_bytes(network: keras.Model) -> bytes:
    """Return a network as the content of a .keras file, with the optimizer's state if it was compiled with one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"  # Keras tells the format by the suffix
        network.save(path)
        return path.read_bytes()


def litert_bytes(
    network: keras.Model, shape: tuple[int, ...], typical: Sequence[npt.NDArray[np.float32]] | None = None
) -> bytes:
    """Return a network of one input as the content of a .tflite file.

    Args:
        network: with any outputs.
        shape: of a tensor of images, (n, side, side, 3). It is fixed, so that XNNPACK takes the whole network.
        typical: tensors of this shape that show which numbers occur. With them, weights and everything computed become int8,
            with float32 numbers in and out; without them, everything stays float32.
    """
    import tensorflow as tf

    function = tf.function(
        lambda pixels: network(pixels, training=False),
        input_signature=[tf.TensorSpec(shape, tf.float32, name="pixels")],
    )
    with filtered_stderr(), warnings.catch_warnings():
        # The warning is about the ranges of the inputs, which stay float32.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        # The converter is not given the Keras 3 model beside the function: it would leave the weights out (71 KB, NaN)
        # instead of freezing them into the graph.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
        if typical is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([tensor] for tensor in typical)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        return bytes(converter.convert())


def convert(network: keras.Model, precision: Precision = "float32", typical: Pixels | None = None) -> bytes:
    """Return the network as the content of a .tflite file with a fixed number of images, so that XNNPACK takes all.

    Args:
        network: takes pixels 0-255, shape (n, 128, 128, 3), and ends in a dense layer of logits.
        precision: float32, or int8 for weights and everything computed, with float32 numbers in and out.
        typical: images that show which numbers occur: uint8, shape (n, 128, 128, 3), RGB, 0-255; needed for int8 alone.

    Raises:
        ModelInvalid: the network does not end in a dense layer.
    """
    shape = (IMAGES_PER_TENSOR, INPUT_SIDE, INPUT_SIDE, 3)
    if precision == "float32":
        return litert_bytes(with_features(network), shape)
    assert typical is not None  # noqa: S101 (a caller's mistake)
    return litert_bytes(with_features(network), shape, _in_tensors(typical))


def _in_tensors(pixels: Pixels) -> list[npt.NDArray[np.float32]]:
    chosen = spread_positions(len(pixels), _CALIBRATION_IMAGES)
    chosen = chosen[: len(chosen) // IMAGES_PER_TENSOR * IMAGES_PER_TENSOR]
    return list(pixels[chosen].reshape(-1, IMAGES_PER_TENSOR, *pixels.shape[1:]).astype(np.float32))
