"""Cells that a network of eight classes does not know, made from cells that it knows, to fit its confidence with.

The data at hand hold no blast, reactive lymphocyte, smudge cell or clump. So these are approximated: cells enlarged beyond
what a class shows, nuclei smeared out, two cells grown together, cells without a nucleus. What the confidence is fitted with
cannot show how good it is; for that, `ood_probes` are other kinds.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from smearcount.models.preprocessing import Pixels

Make = Callable[[Pixels, np.random.Generator], Pixels]


def _pixels(levels: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(levels, 0, 255).astype(np.uint8)


def _enlarged(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Enlarge the cell to 1.4 to 1.7 times its size and make it paler, as a blast is large with a loose nucleus."""
    images = []
    for image in batch:
        side = len(image)
        part = round(side / rng.uniform(1.4, 1.7))
        start = (side - part) // 2
        crop = Image.fromarray(image[start : start + part, start : start + part])
        large = np.asarray(crop.resize((side, side), Image.Resampling.BICUBIC)).astype(np.float64)
        images.append(255 - (255 - large) * rng.uniform(0.65, 0.95))
    return _pixels(np.stack(images))


def _burst(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Smear each image's centre along one direction, as the spreading slide smears a fragile cell."""
    images = []
    for image in batch:
        side = len(image)
        angle = rng.uniform(0.0, 360.0)
        turned = Image.fromarray(image).rotate(angle, Image.Resampling.BILINEAR, fillcolor=tuple(image[0, 0].tolist()))
        levels = np.asarray(turned).astype(np.float64)
        reach = int(rng.integers(10, 24))
        smeared = np.mean([np.roll(levels, shift, axis=1) for shift in range(-reach, reach + 1, 2)], axis=0)
        smeared = np.asarray(Image.fromarray(smeared.astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2))).astype(
            float
        )
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        cover = np.clip(1.6 - 2.0 * np.hypot(x * 0.7, y), 0.0, 1.0)[..., np.newaxis]
        images.append(levels * (1 - cover) + smeared * cover)
    return _pixels(np.stack(images))


def _clumped(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay the cell of the image before it over each cell, shifted by part of its width; the darker one shows at each place."""
    others = np.roll(batch, 1, axis=0)
    shifted = np.stack(
        [np.roll(other, rng.integers(18, 34, 2) * rng.choice([-1, 1], 2), axis=(0, 1)) for other in others]
    )
    clumped: Pixels = np.minimum(np.roll(batch, int(rng.integers(-14, 14)), axis=1), shifted)
    return clumped


def _beside(batch: Pixels, _: np.random.Generator) -> Pixels:
    """Show halves of two cells side by side: no cell lies in the centre."""
    half = batch.shape[2] // 2
    return np.concatenate([batch[:, :, half:], np.roll(batch, 1, axis=0)[:, :, :half]], axis=2)


def _without_nucleus(batch: Pixels, _: np.random.Generator) -> Pixels:
    """Bleach what is darkest: a ghost or an artefact with the outline of a cell."""
    levels = batch.astype(np.float64)
    brightness = levels.mean(axis=-1, keepdims=True)
    floor = np.quantile(brightness, 0.45, axis=(1, 2), keepdims=True)
    return _pixels(np.where(brightness < floor, levels + (floor - brightness) * 0.85, levels))


def _out_of_focus(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Blur so much that neither granules nor chromatin can be seen."""
    return np.stack(
        [np.asarray(Image.fromarray(one).filter(ImageFilter.GaussianBlur(rng.uniform(2.5, 5.0)))) for one in batch]
    )


def _scattered(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Exchange 16 tiles of each image: all colours of a cell, and no cell."""
    side = batch.shape[1]
    tile = side // 4
    images = batch.copy()
    for image, source in zip(images, batch, strict=True):
        for place, origin in enumerate(rng.permutation(16)):
            y, x, v, u = (place // 4) * tile, (place % 4) * tile, (origin // 4) * tile, (origin % 4) * tile
            image[y : y + tile, x : x + tile] = source[v : v + tile, u : u + tile]
    return images


def _wrong_colours(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Mix the channels so that no stain gives such colours."""
    mixing = rng.dirichlet((0.4, 0.4, 0.4), (len(batch), 3))
    density = -np.log((batch.astype(np.float64) + 1) / 256)
    mixed = np.einsum("nijc,ndc->nijd", density, mixing)
    return _pixels(np.exp(-mixed) * 256 - 1)


#: The kinds, by name.
STRANGERS: dict[str, Make] = {
    "enlarged": _enlarged,
    "burst": _burst,
    "clumped": _clumped,
    "beside each other": _beside,
    "without a nucleus": _without_nucleus,
    "out of focus": _out_of_focus,
    "scattered": _scattered,
    "wrong colours": _wrong_colours,
}
