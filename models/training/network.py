"""The network: a stem that quarters the side, then depthwise-separable blocks; small enough for a bench PC.

A 5 × 5 depthwise convolution sees lobes and granules at once and costs little; the 1 × 1 convolution after it mixes the
channels. Stages halve the resolution and double the width. The class is read from the mean over the last map, so the
weights fit any input size: training starts on smaller images, which is faster.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smearcount.models.inference.subtypes import Subtype

if TYPE_CHECKING:
    import keras

#: Channels of the two 3 × 3 convolutions that halve the resolution twice, before anything else. Most of a network's time
#: goes into its large maps: with the first block on a quarter of the side instead of half, training and serving take two
#: thirds of the time, and the later stages can be wider.
STEM_WIDTHS: tuple[int, ...] = (16, 48)
#: Per stage: channels, blocks. Each stage but the first begins with a stride of 2.
STAGES: tuple[tuple[int, int], ...] = ((48, 1), (96, 4), (224, 4), (384, 3))
DROPOUT = 0.1


def build_network(side: int | None = None) -> keras.Model:
    """Return the untrained network.

    Input: float32, shape (batch, side, side, 3), RGB, 0-255. Output: logits, shape (batch, 11), in the order of `Subtype`.

    Args:
        side: of the images, in pixels; None takes any.
    """
    import keras

    inputs = keras.Input((side, side, 3), name="pixels")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    for width in STEM_WIDTHS:
        x = _normalised(keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x))
    width_before = STEM_WIDTHS[-1]
    for stage, (width, blocks) in enumerate(STAGES):
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            y = keras.layers.DepthwiseConv2D(5, strides=stride, padding="same", use_bias=False)(x)
            y = _normalised(y)
            y = keras.layers.Conv2D(width, 1, use_bias=False)(y)
            y = _normalised(y)
            last = f"stage{stage + 1}" if block == blocks - 1 else None
            x = keras.layers.Add(name=last)([x, y]) if stride == 1 and width == width_before else y
            width_before = width
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dropout(DROPOUT)(x)
    logits = keras.layers.Dense(len(Subtype), name="logits")(x)
    return keras.Model(inputs, logits, name="smearcount")


def _normalised(x: Any) -> Any:
    import keras

    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.98)(x))
