"""A picture of what each random change of the training does to an image."""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from smearcount.models.augmentation.augmentation import MARGIN_SIDE, augment, move
from smearcount.models.augmentation.stains import WIDE, StainLimits, exchange_surroundings, restain
from smearcount.models.inference.keras_runtime import require_tensorflow
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import Pixels

if TYPE_CHECKING:
    import tensorflow as tf

#: Each change of the stain, alone, as far as the training takes it.
CHANGES: tuple[tuple[str, StainLimits], ...] = (
    ("other dyes", StainLimits(mixing=WIDE.mixing)),
    ("concentration", StainLimits(concentration=WIDE.concentration)),
    ("of each channel", StainLimits(channel_concentration=WIDE.channel_concentration)),
    ("contrast", StainLimits(contrast=WIDE.contrast)),
    ("background", StainLimits(background=WIDE.background)),
    ("uneven light", StainLimits(gradient=WIDE.gradient)),
    ("saturation", StainLimits(saturation=WIDE.saturation)),
    ("little colour", StainLimits(pale_share=1.0)),
    ("hue", StainLimits(hue=WIDE.hue)),
    ("focus", StainLimits(focus_share=1.0)),
    ("noise", StainLimits(noise=WIDE.noise)),
)
#: Examples of each change.
_EXAMPLES = 8
_LABEL_WIDTH, _GAP, _FONT_SIZE = 150, 4, 18


def gallery(pixels: Pixels, *, seed: int = 1) -> bytes:
    """Return a JPEG with a row per change: examples of the change alone; at the top the image, at the bottom all together.

    Args:
        pixels: the image with its margin: uint8, shape (MARGIN_SIDE, MARGIN_SIDE, 3), RGB.
        seed: decides the random changes.

    Raises:
        RuntimeMissing: TensorFlow is not installed.
    """
    tensorflow = require_tensorflow()
    batch = tensorflow.constant(np.repeat(pixels[None], _EXAMPLES, axis=0))
    seeds = tensorflow.constant([seed, 0], tensorflow.int32)
    margin = (MARGIN_SIDE - INPUT_SIDE) // 2
    central = tensorflow.cast(batch[:, margin : margin + INPUT_SIDE, margin : margin + INPUT_SIDE], tensorflow.float32)
    rows: list[tuple[str, tf.Tensor]] = [("the image", central[:1])]
    rows.append(("turn, size, shift", move(batch, seeds, INPUT_SIDE, INPUT_SIDE)))
    rows.append(("surroundings", _surrounded(central, seeds)))
    rows.extend((name, restain(central, seeds, limits)) for name, limits in CHANGES)
    rows.append(("all together", augment(batch, seeds, INPUT_SIDE, INPUT_SIDE)))
    return _sheet([(name, np.asarray(images).round().astype(np.uint8)) for name, images in rows])


def _surrounded(central: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Return each image with other surroundings, where that change is drawn; the other image is this one upside down."""
    import tensorflow as tf

    pairs = tf.stack([central, central[:, ::-1, ::-1]], axis=1)
    return exchange_surroundings(tf.reshape(pairs, [-1, *central.shape[1:]]), seeds)[::2]


def _sheet(rows: list[tuple[str, npt.NDArray[np.uint8]]]) -> bytes:
    pitch = INPUT_SIDE + _GAP
    sheet = Image.new("RGB", (_LABEL_WIDTH + _EXAMPLES * pitch, len(rows) * pitch), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for y, (name, images) in enumerate(rows):
        draw.text((_GAP, y * pitch + INPUT_SIDE // 2), name, fill="black", font=font, anchor="lm")
        for x, image in enumerate(images):
            sheet.paste(Image.fromarray(image), (_LABEL_WIDTH + x * pitch, y * pitch))
    jpeg = io.BytesIO()
    sheet.save(jpeg, "JPEG", quality=88)
    return jpeg.getvalue()
