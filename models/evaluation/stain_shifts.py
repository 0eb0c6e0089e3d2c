"""Simulated foreign stains: the same cells as another laboratory's stain, light or camera might show them.

Whether a model is right in another laboratory, or knows that it is not, can only be measured on images of another laboratory,
and few have any. So this module changes the colours of the images at hand, in optical density, in which the amounts of dyes
add up (Beer and Lambert), and in what camera and optics make of them. Each shift stands for a whole laboratory: its numbers
are fixed, and each image differs a little from them, as cells on one slide do.

The shifts are no part of the augmentation in training. They overlap with it, so that a network that was trained with wide
augmentation finds them easier than a real foreign site.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from smearcount.models.preprocessing import Pixels

Floats = npt.NDArray[np.float32]
Three = tuple[float, float, float]

#: Standard deviation of the factor that each image's optical density is multiplied by: cells on a slide are not stained alike.
_WITHIN_SLIDE = 0.06

_AT_ONCE = 32
#: Optical density of each level; 0 is not 0 light, or its density would be infinite.
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1.0) / 256.0)


@dataclass(frozen=True)
class StainShift:
    """One simulated laboratory; what is left out stays as it is."""

    name: str
    #: Factors of the optical density in the red, green and blue channel.
    density: Three = (1.0, 1.0, 1.0)
    #: Shares of each channel's density (row) that come from the three channels (columns); each row sums up to 1.
    mixing: tuple[Three, Three, Three] | None = None
    #: Factors of the light: the colour of a lamp or of a white balance.
    light: Three = (1.0, 1.0, 1.0)
    #: How much darker the darkest side is than the brightest, as a share: uneven illumination.
    gradient: float = 0.0
    #: Exponent of the intensities; over 1 is a harder picture.
    gamma: float = 1.0
    saturation: float = 1.0
    #: Factor of the size.
    scale: float = 1.0
    #: Radius of a Gaussian blur in pixels; below 0, of an unsharp mask.
    blur: float = 0.0
    #: Standard deviation of noise, in levels.
    noise: float = 0.0
    #: JPEG quality; None: no second compression.
    jpeg: int | None = None

    def make(self, batch: Pixels, rng: np.random.Generator) -> Pixels:
        """Return the images as this laboratory shows them.

        Args:
            batch: uint8, shape (n, side, side, 3), RGB, 0-255; it stays as it is.
            rng: for what differs from image to image.
        """
        shown = np.empty_like(batch)
        # Few at a time: the numbers of thousands of images take gigabytes, and small arrays stay in the processor's cache.
        for start in range(0, len(batch), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            levels = self._coloured(batch[part], rng)
            if self.noise:
                levels += rng.normal(0.0, self.noise, levels.shape).astype(np.float32)
            pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
            steps = self._optics()
            shown[part] = np.stack([_through(image, steps) for image in pixels]) if steps else pixels
        return shown

    def _coloured(self, batch: Pixels, rng: np.random.Generator) -> Floats:
        density = _DENSITY[batch]
        if self.mixing is not None:
            density = density @ np.array(self.mixing, np.float32).T
        strength = np.exp(rng.normal(0.0, _WITHIN_SLIDE, (len(batch), 1, 1, 1))).astype(np.float32)
        density *= np.array(self.density, np.float32) * strength
        intensity = np.exp(-density * np.float32(self.gamma)) * np.array(self.light, np.float32)
        if self.gradient:
            intensity *= _illumination(len(batch), batch.shape[1], self.gradient, rng)
        levels = intensity * np.float32(256.0) - 1.0
        grey = levels.mean(axis=-1, keepdims=True)
        coloured: Floats = grey + (levels - grey) * np.float32(self.saturation)
        return coloured

    def _optics(self) -> list[Callable[[Image.Image], Image.Image]]:
        steps: list[Callable[[Image.Image], Image.Image]] = []
        if self.scale != 1.0:
            steps.append(lambda image: _scaled(image, self.scale))
        if self.blur > 0:
            steps.append(lambda image: image.filter(ImageFilter.GaussianBlur(self.blur)))
        elif self.blur < 0:
            steps.append(lambda image: image.filter(ImageFilter.UnsharpMask(-self.blur, 150, 0)))
        quality = self.jpeg
        if quality is not None:
            steps.append(lambda image: _compressed(image, quality))
        return steps


def _illumination(images: int, side: int, depth: float, rng: np.random.Generator) -> Floats:
    """Return the light on each image, from 1 - depth to 1 across it in a random direction: shape (images, side, side, 1)."""
    angle = rng.uniform(0.0, 2 * np.pi, (images, 1, 1))
    y, x = np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    along = (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(2.0) + 0.5
    light: Floats = (1.0 - depth * along).astype(np.float32)[..., np.newaxis]
    return light


def _through(image: Pixels, steps: list[Callable[[Image.Image], Image.Image]]) -> Pixels:
    picture = Image.fromarray(image)
    for step in steps:
        picture = step(picture)
    return np.asarray(picture)


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    """Return the image at another magnification, at the same size; what comes into view is mirrored."""
    side = image.width
    new = round(side * factor)
    scaled = np.asarray(image.resize((new, new), Image.Resampling.BICUBIC))
    if new < side:
        before = (side - new) // 2
        after = side - new - before
        scaled = np.pad(scaled, ((before, after), (before, after), (0, 0)), mode="symmetric")
    start = (len(scaled) - side) // 2
    return Image.fromarray(np.ascontiguousarray(scaled[start : start + side, start : start + side]))


def _compressed(image: Image.Image, quality: int) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


#: The simulated laboratories, by name.
STAIN_SHIFTS: tuple[StainShift, ...] = (
    StainShift("pale stain", density=(0.60, 0.64, 0.68), blur=0.5),
    StainShift("strong stain", density=(1.45, 1.40, 1.35)),
    StainShift("blue stain", density=(1.50, 1.00, 0.75), light=(0.97, 1.0, 1.03)),
    StainShift("red stain", density=(0.65, 1.10, 1.45), light=(1.03, 1.0, 0.97)),
    StainShift("grey stain", mixing=((0.8, 0.1, 0.1), (0.15, 0.7, 0.15), (0.1, 0.35, 0.55)), saturation=0.7),
    StainShift("reddish nuclei", mixing=((0.7, 0.3, 0.0), (0.0, 1.0, 0.0), (0.0, 0.5, 0.5)), density=(0.8, 1.0, 1.0)),
    StainShift("warm light", light=(0.92, 0.80, 0.55), density=(1.1, 0.95, 0.9), blur=0.6),
    StainShift("cold light", light=(0.62, 0.88, 0.98), density=(0.95, 1.05, 1.2), jpeg=75),
    StainShift("dim microscope", light=(0.57, 0.68, 0.70), gradient=0.2, noise=3.0, blur=0.8),
    StainShift(
        "dim, grey microscope", light=(0.55, 0.56, 0.60), saturation=0.75, blur=1.0,
        mixing=((0.85, 0.15, 0.0), (0.0, 1.0, 0.0), (0.0, 0.4, 0.6)),
    ),
    StainShift("soft camera", gamma=0.7, saturation=0.7, blur=1.2),
    StainShift("hard camera", gamma=1.3, saturation=1.35, blur=-1.5, noise=2.0),
    StainShift("smaller, greenish", scale=0.80, light=(0.80, 1.0, 0.88), density=(1.2, 1.1, 0.9)),
    StainShift("larger, pinkish", scale=1.25, light=(1.0, 0.82, 0.90), density=(0.85, 1.0, 1.1), blur=0.8),
)  # fmt: skip
