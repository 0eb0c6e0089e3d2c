"""Random changes of training images: everything in which two photographs of the same cell may differ.

These are its position and direction, its size, what lies around it, the stain, the light and the camera.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)
# ruff: noqa: RUF005  (a seed is a tensor: the sum adds, it does not concatenate)

from __future__ import annotations

from typing import TYPE_CHECKING

from smearcount.models.augmentation.stains import exchange_surroundings, restain
from smearcount.models.preprocessing import Pixels, central_square, decode_half_size

if TYPE_CHECKING:
    import tensorflow as tf

#: Side of the training images kept in memory, in pixels: the network's field with a margin around it.
MARGIN_SIDE = 156
#: Least and largest size of what is shown, as a share of the original.
SCALE = (0.75, 1.3)
#: Largest shift along each axis, in pixels of the image given.
SHIFT_PIXELS = 6.0


def decode_with_margin(data: bytes) -> Pixels:
    """Return an image as training keeps it: uint8, shape (MARGIN_SIDE, MARGIN_SIDE, 3), RGB, 0-255.

    Args:
        data: the bytes of an image file.

    Raises:
        ImageRefused: it cannot be used.
    """
    return central_square(decode_half_size(data), MARGIN_SIDE)


def augment(images: tf.Tensor, seed: tf.Tensor, side: int, field: int) -> tf.Tensor:
    """Return each image turned, mirrored, scaled, shifted, restained and photographed anew at random.

    Args:
        images: uint8, shape (batch, s, s, 3), RGB, 0-255, with a margin around the `field` so that turning shows no border.
        seed: int32, shape (2,); the same seed gives the same images.
        side: side of the images returned, in pixels.
        field: side of the central square, in pixels of `images`, that the returned image shows at scale 1.

    Returns:
        float32, shape (batch, side, side, 3), RGB, 0-255.
    """
    moved = exchange_surroundings(move(images, seed, side, field), seed + [0, 100])
    return restain(moved, seed + [0, 200])


def _uniform(shape: list[object], seed: tf.Tensor, low: float, high: float) -> tf.Tensor:
    import tensorflow as tf

    return tf.random.stateless_uniform(shape, seed, low, high)


def move(images: tf.Tensor, seed: tf.Tensor, side: int, field: int) -> tf.Tensor:
    """Return each image turned, mirrored, scaled and shifted at random; for the arguments see `augment`."""
    import numpy as np
    import tensorflow as tf

    n = tf.shape(images)[0]
    angle = _uniform([n], seed + [0, 1], 0.0, 2 * np.pi)
    scale = tf.exp(_uniform([n], seed + [0, 2], *(float(-np.log(scale)) for scale in reversed(SCALE)))) * (field / side)
    mirror = tf.where(_uniform([n], seed + [0, 3], 0.0, 1.0) < 0.5, -1.0, 1.0)
    shift = _uniform([n, 2], seed + [0, 4], -SHIFT_PIXELS, SHIFT_PIXELS)
    cos, sin = tf.cos(angle) * scale, tf.sin(angle) * scale
    centre_out = (side - 1) / 2
    centre_in = (tf.cast(tf.shape(images)[1], tf.float32) - 1) / 2
    # Each output pixel (x, y) is read at (a x + b y + c, d x + e y + f) of the input.
    a, b, d, e = cos * mirror, -sin, sin * mirror, cos
    c = centre_in + shift[:, 0] - (a + b) * centre_out
    f = centre_in + shift[:, 1] - (d + e) * centre_out
    zero = tf.zeros_like(a)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([a, b, c, d, e, f, zero, zero], axis=1),
        output_shape=[side, side],
        interpolation="BILINEAR",
        fill_mode="REFLECT",
        fill_value=0.0,
    )
