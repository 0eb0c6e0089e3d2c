"""Random stains and photographs: how the same cell may look in another laboratory.

A stain absorbs light, so its changes are made on the optical density, where the amounts of dyes add up (Beer-Lambert;
Ruifrok and Johnston, Anal Quant Cytol Histol 2001;23:291-299). The camera's changes are made on the intensities.
Each image draws a strength between 0 and 1 that scales all its changes, so that many images stay near the original.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)
# ruff: noqa: RUF005  (a seed is a tensor: the sum adds, it does not concatenate)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class StainLimits:
    """How far each change may go; with every limit at 0, an image stays as it is."""

    #: Standard deviation of the share of one channel's optical density that goes into another one: other dyes.
    mixing: float = 0.0
    #: Largest logarithm of the factor on the optical density of all channels together: other concentrations.
    concentration: float = 0.0
    #: The same for each channel alone.
    channel_concentration: float = 0.0
    #: Largest logarithm of the exponent on the optical density: pale parts fade or darken against dark ones.
    contrast: float = 0.0
    #: Least and largest optical density added to each channel: the background's colour and the lamp's brightness.
    background: tuple[float, float] = (0.0, 0.0)
    #: Largest difference of optical density between the middle and an edge of the image: uneven light.
    gradient: float = 0.0
    #: Largest logarithm of the factor on the saturation.
    saturation: float = 0.0
    #: Share of the images whose saturation is drawn between 0 and 1 instead, so that colour alone cannot decide.
    pale_share: float = 0.0
    #: Largest turn of the hue, in radians.
    hue: float = 0.0
    #: Share of the images that are blurred or sharpened.
    focus_share: float = 0.0
    #: How far they are sharpened (below 0) or blurred; 1 is a 5 x 5 binomial filter.
    focus: tuple[float, float] = (-0.5, 1.0)
    #: Largest standard deviation of the noise, of 255.
    noise: float = 0.0


#: What training uses. Concentration, background and mixing are wider than what two laboratories differ by as a rule.
WIDE = StainLimits(
    mixing=0.12,
    concentration=0.45,
    channel_concentration=0.35,
    contrast=0.3,
    background=(-0.12, 0.35),
    gradient=0.15,
    saturation=0.4,
    pale_share=0.1,
    hue=0.35,
    focus_share=0.5,
    noise=6.0,
)

#: The optical density at which the contrast changes nothing.
_CONTRAST_PIVOT = 0.5
#: Share of the images whose surroundings are replaced by another image's.
SURROUNDINGS_SHARE = 0.25
#: Radius around the centre that stays, and width of the border over which the two images blend, as shares of half the side.
_SURROUNDINGS_RADIUS, _SURROUNDINGS_BORDER = (0.8, 1.1), 0.1


def restain(images: tf.Tensor, seed: tf.Tensor, limits: StainLimits = WIDE) -> tf.Tensor:
    """Return each image as another laboratory's stain, lamp and camera may show it.

    Args:
        images: float32, shape (batch, side, side, 3), RGB, 0-255.
        seed: int32, shape (2,); the same seed gives the same images.
        limits: how far each change may go.

    Returns:
        float32, the same shape, RGB, 0-255.
    """
    import tensorflow as tf

    strength = _uniform([tf.shape(images)[0], 1, 1, 1], seed + [0, 1], 0.0, 1.0)
    density = _illuminate(_stain(_density(images), strength, seed, limits), strength, seed, limits)
    return tf.clip_by_value(_photograph(_intensity(density), strength, seed, limits), 0.0, 255.0)


def exchange_surroundings(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return the images, some of them with another image of the batch around their central cell.

    What lies around a cell tells nothing about its class, but in one laboratory's images it may seem to.

    Args:
        images: float32, shape (batch, side, side, 3), RGB, 0-255.
        seed: int32, shape (2,); the same seed gives the same images.

    Returns:
        float32, the same shape, RGB, 0-255.
    """
    import tensorflow as tf

    n = tf.shape(images)[0]
    axis = tf.linspace(-1.0, 1.0, tf.shape(images)[1])
    distance = tf.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2)[None, :, :, None]
    radius = _uniform([n, 1, 1, 1], seed + [0, 1], *_SURROUNDINGS_RADIUS)
    outside = tf.clip_by_value((distance - radius) / _SURROUNDINGS_BORDER + 0.5, 0.0, 1.0)
    chosen = tf.cast(_uniform([n, 1, 1, 1], seed + [0, 2], 0.0, 1.0) < SURROUNDINGS_SHARE, tf.float32)
    return images + (tf.roll(images, 1, axis=0) - images) * outside * chosen


def _uniform(shape: list[object], seed: tf.Tensor, low: float, high: float) -> tf.Tensor:
    import tensorflow as tf

    return tf.random.stateless_uniform(shape, seed, low, high)


def _density(images: tf.Tensor) -> tf.Tensor:
    """Return the optical density, from 0 (white) to 5.5 (black)."""
    import tensorflow as tf

    return -tf.math.log((images + 1.0) / 256.0)


def _intensity(density: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.clip_by_value(256.0 * tf.exp(-density) - 1.0, 0.0, 255.0)


def _stain(density: tf.Tensor, strength: tf.Tensor, seed: tf.Tensor, limits: StainLimits) -> tf.Tensor:
    """Return the optical density with other dyes in other concentrations."""
    import tensorflow as tf

    n = tf.shape(density)[0]
    mixing = tf.random.stateless_normal([n, 3, 3], seed + [0, 2], stddev=limits.mixing) * strength[:, 0]
    flat = tf.reshape(density, [n, -1, 3])
    mixed = tf.reshape(flat + tf.linalg.matmul(flat, mixing), tf.shape(density))
    exponent = tf.exp(_uniform([n, 1, 1, 1], seed + [0, 3], -limits.contrast, limits.contrast) * strength)
    contrasted = _CONTRAST_PIVOT * tf.pow(tf.maximum(mixed, 1e-4) / _CONTRAST_PIVOT, exponent)
    overall = _uniform([n, 1, 1, 1], seed + [0, 4], -limits.concentration, limits.concentration)
    each = _uniform([n, 1, 1, 3], seed + [0, 5], -limits.channel_concentration, limits.channel_concentration)
    return contrasted * tf.exp((overall + each) * strength)


def _illuminate(density: tf.Tensor, strength: tf.Tensor, seed: tf.Tensor, limits: StainLimits) -> tf.Tensor:
    """Return the optical density under another, uneven light."""
    import tensorflow as tf

    n = tf.shape(density)[0]
    background = _uniform([n, 1, 1, 3], seed + [0, 6], *limits.background)
    slope = _uniform([n, 2], seed + [0, 7], -limits.gradient, limits.gradient)
    axis = tf.linspace(-1.0, 1.0, tf.shape(density)[1])
    gradient = slope[:, 0, None, None] * axis[None, :, None] + slope[:, 1, None, None] * axis[None, None, :]
    return density + (background + gradient[..., None]) * strength


def _photograph(images: tf.Tensor, strength: tf.Tensor, seed: tf.Tensor, limits: StainLimits) -> tf.Tensor:
    """Return the intensities as another camera, focus and sensor give them."""
    import tensorflow as tf

    n = tf.shape(images)[0]
    saturation = tf.exp(_uniform([n, 1, 1, 1], seed + [0, 8], -limits.saturation, limits.saturation) * strength)
    is_pale = _uniform([n, 1, 1, 1], seed + [0, 9], 0.0, 1.0) < limits.pale_share
    saturation = tf.where(is_pale, _uniform([n, 1, 1, 1], seed + [0, 10], 0.0, 1.0), saturation)
    grey = tf.reduce_mean(images, axis=-1, keepdims=True)
    angle = _uniform([n], seed + [0, 11], -limits.hue, limits.hue) * strength[:, 0, 0, 0]
    images = grey + _turn_hue(images - grey, angle) * saturation
    in_focus = _uniform([n, 1, 1, 1], seed + [0, 12], 0.0, 1.0) >= limits.focus_share
    blur = tf.where(in_focus, 0.0, _uniform([n, 1, 1, 1], seed + [0, 13], *limits.focus) * strength)
    images = images + (_blurred(images) - images) * blur
    noise = tf.random.stateless_normal(tf.shape(images), seed + [0, 14])
    return images + noise * _uniform([n, 1, 1, 1], seed + [0, 15], 0.0, limits.noise) * strength


def _turn_hue(colours: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Turn colours about the grey axis (Rodrigues' formula); `colours` are differences from grey, `angle` is in radians."""
    import tensorflow as tf

    cos, sin = tf.cos(angle)[:, None, None, None], tf.sin(angle)[:, None, None, None]
    # Across the axis (1, 1, 1) / sqrt(3): the cross product of the axis with (r, g, b) is (b - g, r - b, g - r) / sqrt(3).
    across = (tf.gather(colours, [2, 0, 1], axis=-1) - tf.gather(colours, [1, 2, 0], axis=-1)) * 3**-0.5
    return colours * cos + across * sin


def _blurred(images: tf.Tensor) -> tf.Tensor:
    import numpy as np
    import tensorflow as tf

    line = np.array([1, 4, 6, 4, 1], np.float32) / 16
    padded = tf.pad(images, [[0, 0], [2, 2], [2, 2], [0, 0]], "REFLECT")
    down = tf.constant(np.tile(line[:, None, None, None], (1, 1, 3, 1)))
    along = tf.constant(np.tile(line[None, :, None, None], (1, 1, 3, 1)))
    valid = [1, 1, 1, 1]
    return tf.nn.depthwise_conv2d(tf.nn.depthwise_conv2d(padded, down, valid, "VALID"), along, valid, "VALID")
