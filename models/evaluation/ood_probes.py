"""Out-of-distribution probes: ways of making images that must not be counted, and small changes that must not cost a cell.

A network calls anything one of its classes, and often with confidence. Whether the OOD score notices an image of another
kind can only be measured on such images, and there is no collection of what a site may drop into its inbox. So this module
makes them. Some are ordinary cell images with a change that leaves no trustworthy cell ("corrupted") or that another
photograph of the same cell could show as well ("mild"); others show no cell at all ("no cell").
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from smearcount.models.preprocessing import Pixels

Family = Literal["mild", "corrupted", "no cell"]
Make = Callable[[Pixels, np.random.Generator], Pixels]

#: Side of the corners that red cells are taken from, as a share of the image's side: around the largest monocyte, so much
#: of the field of red cells is left.
_CORNER = 0.27
_LINES = (
    "The quick brown",
    "fox jumps over",
    "the lazy dog and",
    "12 345 67.89 %",
    "runs away, again",
    "Sphinx of black",
    "quartz, judge my",
)


@dataclass(frozen=True)
class Probe:
    """One way of making images that are out of the ordinary."""

    name: str
    #: "mild": still to be counted. "corrupted" and "no cell": not to be counted.
    family: Family
    #: Takes ordinary images, uint8, shape (n, side, side, 3), RGB, 0-255, and a source of random numbers; returns new images
    #: of the same number, shape and type, and leaves its input as it is.
    make: Make


def _of_each(change: Callable[[Image.Image], Image.Image]) -> Make:
    """Turn a change of one Pillow image into a change of batches."""

    def make(batch: Pixels, _: np.random.Generator) -> Pixels:
        return np.stack([np.asarray(change(Image.fromarray(image))) for image in batch])

    return make


def _of_levels(change: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> Make:
    """Turn a change of colour levels, which may leave the range 0-255, into a change of batches; it is clipped to 0-255."""

    def make(batch: Pixels, _: np.random.Generator) -> Pixels:
        return _pixels(change(batch.astype(np.float64)))

    return make


def _drawn(draw: Callable[[int, np.random.Generator], Pixels]) -> Make:
    """Turn a drawing of a picture of a given side, in pixels, into a change of batches that ignores what they show."""

    def make(batch: Pixels, rng: np.random.Generator) -> Pixels:
        return np.stack([draw(batch.shape[1], rng) for _ in batch])

    return make


def _pixels(levels: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def _hue_turned(image: Image.Image, degrees: int) -> Image.Image:
    hsv = np.array(image.convert("HSV"))
    hsv[..., 0] += np.uint8(round(degrees / 360 * 256))  # wraps around, as the hue does
    return Image.fromarray(hsv, "HSV").convert("RGB")


def _toward_grey(levels: npt.NDArray[np.float64], kept: float) -> npt.NDArray[np.float64]:
    grey = levels.mean(axis=-1, keepdims=True)
    tinged: npt.NDArray[np.float64] = grey + (levels - grey) * kept
    return tinged


def _shifted(batch: Pixels, rng: np.random.Generator, by: int) -> Pixels:
    """Shift every image by `by` pixels along both axes; what comes into view is mirrored."""
    padded = np.pad(batch, ((0, 0), (by, by), (by, by), (0, 0)), mode="symmetric")
    side = batch.shape[1]
    starts = rng.choice([0, 2 * by], (len(batch), 2))
    return np.stack([image[y : y + side, x : x + side] for image, (y, x) in zip(padded, starts, strict=True)])


def _noisy(batch: Pixels, rng: np.random.Generator, deviation: float) -> Pixels:
    return _pixels(batch + rng.normal(0.0, deviation, batch.shape))


def _enlarged(image: Image.Image) -> Image.Image:
    quarter = image.width // 4
    middle = image.crop((quarter, quarter, image.width - quarter, image.height - quarter))
    return middle.resize(image.size, Image.Resampling.BICUBIC)


def _reduced(image: Image.Image) -> Image.Image:
    half = np.asarray(image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS))
    margin = image.width // 4
    return Image.fromarray(np.pad(half, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric"))


def _half_covered(batch: Pixels, rng: np.random.Generator) -> Pixels:
    covered = batch.copy()
    for image in covered:
        # rot90 returns a view of the image, turned so that its upper half is the one to be covered
        np.rot90(image, rng.integers(4).item())[: len(image) // 2] = rng.integers(0, 256, 3)
    return covered


def _background(image: Pixels) -> npt.NDArray[np.float64]:
    """Return the colour between the cells, shape (3,), 0-255: the mean of the brightest tenth of the pixels."""
    return _mean_colour_between(image, 0.9, 1.0)


def _mean_colour_between(image: Pixels, low: float, high: float) -> npt.NDArray[np.float64]:
    """Return the mean colour, shape (3,), 0-255, of the pixels whose brightness lies between two quantiles (0-1)."""
    brightness = image.sum(axis=-1, dtype=np.int64)
    within = (brightness >= np.quantile(brightness, low)) & (brightness <= np.quantile(brightness, high))
    mean: npt.NDArray[np.float64] = image[within].mean(axis=0)
    return mean


def _empty_fields(batch: Pixels, rng: np.random.Generator) -> Pixels:
    colours = np.stack([_background(image) for image in batch])
    return _noisy(np.broadcast_to(_pixels(colours)[:, np.newaxis, np.newaxis], batch.shape), rng, 3.0)


def _red_cells(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Fill each image with one of its corners, where only red cells lie, mirrored again and again."""
    side = batch.shape[1]
    corner = round(_CORNER * side)
    fields = []
    for image in batch:
        patch = np.rot90(image, rng.integers(4).item())[:corner, :corner]
        # numpy mirrors as often as it takes
        field = np.pad(patch, ((0, 2 * side - corner), (0, 2 * side - corner), (0, 0)), mode="symmetric")
        y, x = rng.integers(0, side, 2)
        fields.append(field[y : y + side, x : x + side])
    return np.stack(fields)


def _smudges(batch: Pixels, rng: np.random.Generator) -> Pixels:
    """Smear the colour of each image's nucleus over a field of red cells, without an outline."""
    fields = _red_cells(batch, rng)
    smeared = []
    for image, field in zip(batch, fields, strict=True):
        side = len(image)
        nucleus = _mean_colour_between(image, 0.0, 0.05)
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        angle = rng.uniform(0, np.pi)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        cover = np.exp(-((along / rng.uniform(0.5, 0.8)) ** 2) - (across / rng.uniform(0.25, 0.5)) ** 2)
        # streaks along the smear, as the spreading slide leaves them
        streaks = np.interp(across, np.linspace(-1.5, 1.5, 60), rng.uniform(0.3, 1.0, 60))
        cover = (cover * streaks)[..., np.newaxis]
        smeared.append(_pixels(field * (1 - cover) + nucleus * cover))
    return np.stack(smeared)


def _clouds(side: int, rng: np.random.Generator) -> Pixels:
    """Draw coloured noise that is smooth on every scale."""
    levels = np.zeros((side, side, 3))
    for octave in range(1, 6):
        grains = Image.fromarray(rng.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8))
        levels += np.asarray(grains.resize((side, side), Image.Resampling.BICUBIC)) / 2**octave
    return _pixels(levels)


def _even(side: int, _: np.random.Generator, level: int) -> Pixels:
    return np.full((side, side, 3), level, np.uint8)


def _gradient(side: int, rng: np.random.Generator) -> Pixels:
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    weight_x = rng.random()
    share = (weight_x * x + (1 - weight_x) * y)[..., np.newaxis]
    one, other = rng.integers(0, 256, (2, 3))
    return _pixels(one * (1 - share) + other * share)


def _stripes(side: int, rng: np.random.Generator) -> Pixels:
    y, x = np.mgrid[0:side, 0:side]
    angle, width = rng.uniform(0, np.pi), rng.uniform(4, 20)
    which = ((x * np.cos(angle) + y * np.sin(angle)) // width).astype(int) % 2
    stripes: Pixels = rng.integers(0, 256, (2, 3), dtype=np.uint8)[which]
    return stripes


def _text(side: int, rng: np.random.Generator) -> Pixels:
    paper = Image.new("RGB", (side, side), tuple(rng.integers(225, 256, 3).tolist()))
    pen = ImageDraw.Draw(paper)
    size = rng.integers(9, 16).item()
    for row, line in enumerate(rng.permutation(_LINES)):
        pen.text((-rng.integers(0, 20).item(), row * 1.5 * size), line * 2, fill=(20, 20, 40), font_size=size)
    return np.array(paper)


def _scene(side: int, rng: np.random.Generator) -> Pixels:
    """Draw a house, a tree and the sun, in place of a photograph of something else."""
    ground = side * rng.uniform(0.6, 0.75)
    picture = Image.new("RGB", (side, side), (120, 175, 235))
    pen = ImageDraw.Draw(picture)

    def around(colour: tuple[int, int, int]) -> tuple[int, ...]:
        return tuple(np.clip(rng.normal(colour, 20), 0, 255).astype(int).tolist())

    def box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
        return x, y, x + width, y + height

    sun = side * rng.uniform(0.1, 0.2)
    pen.ellipse(box(side * rng.uniform(0, 0.8), side * rng.uniform(0, 0.2), sun, sun), fill=around((250, 220, 80)))
    pen.rectangle(box(0, ground, side, side), fill=around((90, 150, 60)))
    left, width, height = side * rng.uniform(0.05, 0.3), side * rng.uniform(0.3, 0.4), side * rng.uniform(0.25, 0.35)
    top = ground - height
    pen.rectangle(box(left, top, width, height), fill=around((200, 180, 150)))
    pen.polygon(
        [(left - 4, top), (left + width + 4, top), (left + width / 2, top - height * 0.6)], fill=around((150, 60, 40))
    )
    pen.rectangle(box(left + width * 0.15, top + height * 0.2, width * 0.25, height * 0.3), fill=around((70, 90, 120)))
    pen.rectangle(box(left + width * 0.6, top + height * 0.4, width * 0.25, height * 0.6), fill=around((110, 70, 40)))
    trunk = side * rng.uniform(0.75, 0.9)
    pen.rectangle(box(trunk, ground - height * 0.6, side * 0.04, height * 0.6), fill=around((90, 60, 30)))
    crown = side * rng.uniform(0.2, 0.3)
    pen.ellipse(box(trunk - crown * 0.4, ground - height * 0.6 - crown, crown, crown), fill=around((50, 120, 50)))
    return np.array(picture.filter(ImageFilter.GaussianBlur(0.6)))


PROBES: tuple[Probe, ...] = (
    Probe("JPEG quality 50", "mild", _of_each(partial(_jpeg, quality=50))),
    Probe("shifted by 4 px", "mild", partial(_shifted, by=4)),
    Probe("5 % brighter", "mild", _of_levels(lambda levels: levels * 1.05)),
    Probe("5 % darker", "mild", _of_levels(lambda levels: levels * 0.95)),
    Probe("slightly blurred", "mild", _of_each(lambda image: image.filter(ImageFilter.GaussianBlur(0.7)))),
    Probe("turned by 90°", "mild", lambda batch, _: np.rot90(batch, 1, (1, 2)).copy()),
    Probe("turned by 180°", "mild", lambda batch, _: np.rot90(batch, 2, (1, 2)).copy()),
    Probe("mirrored", "mild", lambda batch, _: batch[:, :, ::-1].copy()),
    Probe("hue turned by 60°", "corrupted", _of_each(partial(_hue_turned, degrees=60))),
    Probe("hue turned by 120°", "corrupted", _of_each(partial(_hue_turned, degrees=120))),
    Probe("hue turned by 180°", "corrupted", _of_each(partial(_hue_turned, degrees=180))),
    Probe("red and blue swapped", "corrupted", lambda batch, _: batch[..., ::-1].copy()),
    Probe("red and green swapped", "corrupted", lambda batch, _: batch[..., [1, 0, 2]]),
    Probe("nearly grey", "corrupted", _of_levels(partial(_toward_grey, kept=0.1))),
    Probe("very pale", "corrupted", _of_levels(lambda levels: 255 - (255 - levels) * 0.35)),
    Probe("very dark", "corrupted", _of_levels(lambda levels: levels * 0.4)),
    Probe("colour cast", "corrupted", _of_levels(lambda levels: levels * [0.65, 0.9, 1.05])),
    Probe("inverted", "corrupted", lambda batch, _: 255 - batch),
    Probe("strongly blurred", "corrupted", _of_each(lambda image: image.filter(ImageFilter.GaussianBlur(4)))),
    Probe("strong noise", "corrupted", partial(_noisy, deviation=50.0)),
    Probe("JPEG quality 5", "corrupted", _of_each(partial(_jpeg, quality=5))),
    Probe("twice as large", "corrupted", _of_each(_enlarged)),
    Probe("half as large", "corrupted", _of_each(_reduced)),
    Probe("half covered", "corrupted", _half_covered),
    Probe("uniform noise", "no cell", lambda batch, rng: rng.integers(0, 256, batch.shape, dtype=np.uint8)),
    Probe("clouds", "no cell", _drawn(_clouds)),
    Probe("empty field", "no cell", _empty_fields),
    Probe("red cells alone", "no cell", _red_cells),
    Probe("smudge", "no cell", _smudges),
    Probe("black", "no cell", _drawn(partial(_even, level=0))),
    Probe("white", "no cell", _drawn(partial(_even, level=255))),
    Probe("gradient", "no cell", _drawn(_gradient)),
    Probe("stripes", "no cell", _drawn(_stripes)),
    Probe("text on paper", "no cell", _drawn(_text)),
    Probe("drawn scene", "no cell", _drawn(_scene)),
)
