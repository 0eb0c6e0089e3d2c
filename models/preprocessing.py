"""From the bytes of a cell image to the pixels the network sees.

Training, evaluation and the workers all use this module, so that a cell looks the same to the network everywhere. Any
change that alters a single pixel must change `PREPROCESSING_VERSION`, which is stored with every result.

The analyzer's images are 360 × 363 px with one cell in the centre. Decoding a JPEG at half size costs a third of
decoding it fully (the inverse DCT is done on 4 × 4 instead of 8 × 8 coefficients), and the central 128 × 128 px of the
half-size image hold the whole cell, so nothing needs to be resized.

Pillow checks every file, and decodes those that are no JPEGs. simplejpeg decodes the JPEGs: it uses the same library
(libjpeg-turbo) and gives the same pixels in a third less time, since it copies nothing on the way to numpy, and it raises
what the library warns of, which Pillow drops; see `integrity`.
"""

import io
import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from smearcount.inbox.complexity import TooComplex, check_complexity
from smearcount.inbox.reading import LARGEST_FILE
from smearcount.models.errors import ImageRefused
from smearcount.models.integrity import check_whole, damaged, strict_jpeg
from smearcount.models.network_input import INPUT_SIDE

#: Smallest and largest side of an analyzer's image, in pixels at full size. In a smaller one, the central square would not
#: fit; a larger one shows the cell at another magnification, and a count made from it would be wrong.
SMALLEST_SIDE = 2 * INPUT_SIDE
LARGEST_SIDE = 2 * SMALLEST_SIDE

#: An image is grey, whatever its mode, if the channels of no pixel differ by as much as this (of 255). The palest of the
#: known cell images reaches 85.
LEAST_COLOUR = 16

ACCEPTED_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

#: One image, shape (height, width, 3), or several, shape (n, height, width, 3): RGB, 0-255.
Pixels = npt.NDArray[np.uint8]

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")
_PNG_BIT_DEPTH_AT = 24
_OPAQUE = 255
#: Kinds of extra samples that are alpha (TIFF 6.0, ExtraSamples): premultiplied or not.
_TIFF_ALPHA = frozenset({1, 2})
_NO_COLOUR = "the image is grey; the colours of the stain are needed to classify a cell"

_UPRIGHTING: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}


def decode_cell(data: bytes) -> Pixels:
    """Return the network's view of one cell image: uint8, shape (128, 128, 3), RGB, 0-255.

    Safe to call from several threads at once.

    Args:
        data: content of a JPEG, PNG, BMP or TIFF file.

    Raises:
        ImageRefused: the bytes are no image, or one that must not be counted; its code and reason say why.
    """
    return central_square(decode_half_size(data), INPUT_SIDE)


def decode_half_size(data: bytes) -> Pixels:
    """Return the whole image at half size: uint8, shape (height // 2, width // 2, 3) or a pixel more, RGB, 0-255.

    Safe to call from several threads at once.

    Args:
        data: content of a JPEG, PNG, BMP or TIFF file.

    Raises:
        ImageRefused: the bytes are no image, or one that must not be counted; its code and reason say why.
    """
    if not data:
        raise ImageRefused("empty", "the file is empty (0 bytes)")
    if len(data) > LARGEST_FILE:
        raise ImageRefused("too-large", f"the file has {len(data):,} bytes; a cell image has at most {LARGEST_FILE:,}")
    try:
        check_complexity(data)
    except TooComplex as error:
        raise ImageRefused("too-complex", f"{error}, which no cell image has; export it as a plain image") from None
    try:
        with Image.open(io.BytesIO(data), formats=ACCEPTED_FORMATS) as image:
            _check_size(image)
            _check_single(image)
            _check_colour(image)
            _check_depth(image, data)
            check_whole(image, data)
            half = _half_size(image, data)
    except ImageRefused:
        raise
    except UnidentifiedImageError:
        if data.startswith(_SIGNATURES):
            raise ImageRefused(
                "damaged", "the image is damaged, or of a kind that cannot be read: its header"
            ) from None
        raise ImageRefused("not-an-image", "not a JPEG, PNG, BMP or TIFF image, whatever its name says") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        # Pillow raises the error from twice its limit on; under the limit it warns, which `python -W error` turns into
        # an exception. Without that flag `_check_size` refuses the image just after the warning.
        raise ImageRefused("wrong-size", "the image has too many pixels to be one cell") from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make a decoder raise nearly anything, even SyntaxError
        raise damaged(f"{error}") from error
    _check_stained(half)
    return half


def central_square(image: Pixels, side: int) -> Pixels:
    """Return the central `side` × `side` pixels of an image of shape (height, width, 3), as a contiguous copy."""
    top = (image.shape[0] - side) // 2
    left = (image.shape[1] - side) // 2
    return image[top : top + side, left : left + side].copy()


def _check_size(image: Image.Image) -> None:
    """Refuse an image whose header already says that it is not one cell; nothing has been decoded yet."""
    smaller, larger = sorted(image.size)
    if smaller < SMALLEST_SIDE or larger > LARGEST_SIDE:
        raise ImageRefused(
            "wrong-size",
            f"the image is {image.width} × {image.height} px; "
            f"a cell image has {SMALLEST_SIDE} to {LARGEST_SIDE} px on each side (usually 360 × 363)",
        )


def _check_single(image: Image.Image) -> None:
    """Refuse several pages or frames: all but the first would silently go uncounted."""
    if getattr(image, "is_animated", False):
        raise ImageRefused("several-images", "the file holds several images; export one cell per file")


def _check_colour(image: Image.Image) -> None:
    """Refuse colours that would have to be guessed: the stain's colours are what the classes are told apart by."""
    mode = image.mode
    if mode in {"1", "L", "LA", "La"} or mode.startswith(("I", "F")):
        raise ImageRefused("no-colour", _NO_COLOUR)
    if mode not in {"RGB", "RGBA", "RGBX", "P"}:
        raise ImageRefused("wrong-colours", f"the image's colours are {mode}, not RGB; export it as RGB")


def _check_depth(image: Image.Image, data: bytes) -> None:
    """Refuse more than 8 bits per colour, which Pillow would cut down unasked: 12 bits in 16 would become black."""
    bits = 8
    if image.format == "PNG":
        bits = data[_PNG_BIT_DEPTH_AT]
    elif image.format == "TIFF":
        bits = max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (8,)))  # type: ignore[attr-defined]
    if bits > 8:
        raise ImageRefused("wrong-colours", f"the image has {bits} bits per colour; export it with 8")


def _check_stained(half: Pixels) -> None:
    """Refuse a grey image saved with three equal channels."""
    red, green, blue = np.moveaxis(half[::4, ::4], 2, 0)  # pairs of planes: ten times as fast as max(axis=2)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    if int(spread.max()) < LEAST_COLOUR:
        raise ImageRefused("no-colour", _NO_COLOUR)


def _half_size(image: Image.Image, data: bytes) -> Pixels:
    if image.format == "JPEG":
        half = strict_jpeg(data, least_height=image.height // 2, least_width=image.width // 2)
    else:
        image = _opaque(image).reduce(2)
        half = np.asarray(image)
    upright = _UPRIGHTING.get(_orientation(image))
    return half if upright is None else np.ascontiguousarray(upright(half))


def _opaque(image: Image.Image) -> Image.Image:
    """Return a palette or alpha image as RGB; refuse transparent pixels, which have no colour of their own."""
    rgba = image.convert("RGBA") if image.mode in {"P", "RGBA"} else image
    if rgba.mode == "RGBA":
        least, most = rgba.getchannel("A").getextrema()
        if least != _OPAQUE and not (most == 0 and _may_lack_alpha(image)):
            raise ImageRefused("transparent", "the image has see-through pixels; export it without an alpha channel")
    return rgba.convert("RGB")


def _may_lack_alpha(image: Image.Image) -> bool:
    """Say whether an alpha of 0 everywhere means that there is none.

    Windows writes the fourth byte of a pixel as 0 where nothing uses it, also under a header that calls it alpha; browsers
    and Windows itself show such a BMP opaque. In a TIFF, a fourth sample is alpha only where the file says so.
    """
    if image.format == "TIFF":
        return not set(image.tag_v2.get(ExifTags.Base.ExtraSamples, ())) & _TIFF_ALPHA  # type: ignore[attr-defined]
    return image.format == "BMP"


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 if it has none (Pillow has turned a TIFF already, and forgotten the tag)."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, Warning, struct.error):
        return 1  # a cell has no upright side, so an image whose EXIF data cannot be read is as good as any
    return orientation if isinstance(orientation, int) else 1
