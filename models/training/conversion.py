"""From a network in Keras to the content of a .tflite file."""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from smearcount.models.inference.stderr_filter import without_chatter

if TYPE_CHECKING:
    import keras


def litert_bytes(
    network: keras.Model, shape: tuple[int, ...], typical: Sequence[npt.NDArray[np.float32]] | None = None
) -> bytes:
    """Return a network of one input as the content of a .tflite file.

    Args:
        network: with any outputs.
        shape: of a tensor of images, (n, side, side, 3): fixed, so that XNNPACK takes the whole network.
        typical: tensors that show which numbers occur. Given, weights and all that is computed become int8, with float32
            numbers in and out; without, everything stays float32.
    """
    import tensorflow as tf

    function = tf.function(
        lambda pixels: network(pixels, training=False),
        input_signature=[tf.TensorSpec(shape, tf.float32, name="pixels")],
    )
    with without_chatter(), warnings.catch_warnings():
        # of the ranges of the inputs, which stay float32
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        # Given the Keras 3 model beside the function, the converter leaves the weights out (71 KB, NaN); without it they
        # are frozen into the graph.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
        if typical is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([tensor] for tensor in typical)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        return bytes(converter.convert())
