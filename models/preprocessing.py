"""From the bytes of a cell image to the pixels the network sees.

Training, evaluation and the workers all come through here, so that a cell looks the same to the network wherever it
meets it. Any change that alters a single pixel must change `PREPROCESSING_VERSION`, which is stored with every result.

The analyzer's images are 360 × 363 px with one cell in the centre. Decoding a JPEG at half size costs a third of
decoding it fully (the inverse DCT is done on 4 × 4 instead of 8 × 8 coefficients), and the central 128 × 128 px of the
half-size image hold the whole cell, so nothing needs to be resized.
"""

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from models.errors import ImageRefused

PREPROCESSING_VERSION = "half-128-v1"

#: Side of the square the network sees, in pixels of the half-size image.
INPUT_SIDE = 128

#: Sides in pixels, at full size, between which an image can be one of the analyzer's: below, the central square would
#: not fit; above, the cell is shown at another magnification, and a count made from it would be wrong.
SMALLEST_SIDE = 2 * INPUT_SIDE
LARGEST_SIDE = 2 * SMALLEST_SIDE

#: No cell image comes near this many bytes, not even an uncompressed one of the largest size.
LARGEST_FILE = 8 * 1024 * 1024

ACCEPTED_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")

Pixels = npt.NDArray[np.uint8]


def decode_cell(data: bytes) -> Pixels:
    """Return the network's view of one cell image: RGB, shape (128, 128, 3), 0-255.

    Raises:
        ImageRefused: the bytes are no image, or one that must not be counted; says why.
    """
    return central_square(decode_half_size(data), INPUT_SIDE)


def decode_half_size(data: bytes) -> Pixels:
    """Return the whole image at half size: RGB, shape (height // 2, width // 2, 3) or a pixel more, 0-255.

    Raises:
        ImageRefused: the bytes are no image, or one that must not be counted; says why.
    """
    if not data:
        raise ImageRefused("empty", "the file is empty (0 bytes)")
    if len(data) > LARGEST_FILE:
        raise ImageRefused("too-large", f"the file has {len(data):,} bytes; a cell image has at most {LARGEST_FILE:,}")
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a decompression bomb below a hard limit; the size check here is far stricter.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=ACCEPTED_FORMATS) as image:
                _check_size(image)
                _check_colour(image)
                return np.asarray(_to_half_size_rgb(image))
    except ImageRefused:
        raise
    except Image.UnidentifiedImageError:
        raise ImageRefused("not-an-image", "not a JPEG, PNG, BMP or TIFF image, whatever its name says") from None
    except Image.DecompressionBombError:
        raise ImageRefused("wrong-size", "the image has too many pixels to be one cell") from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged file can make a decoder raise nearly anything, even SyntaxError
        raise ImageRefused("damaged", f"the image is damaged: {error}") from error


def central_square(image: Pixels, side: int) -> Pixels:
    """Return the central `side` × `side` pixels of an image of shape (height, width, 3), as a contiguous copy."""
    top = (image.shape[0] - side) // 2
    left = (image.shape[1] - side) // 2
    return np.ascontiguousarray(image[top : top + side, left : left + side])


def _check_size(image: Image.Image) -> None:
    """Refuse an image whose header already says that it is not one cell; nothing has been decoded yet."""
    smaller, larger = sorted(image.size)
    if smaller < SMALLEST_SIDE or larger > LARGEST_SIDE:
        raise ImageRefused(
            "wrong-size",
            f"the image is {image.width} × {image.height} px; "
            f"a cell image has {SMALLEST_SIDE} to {LARGEST_SIDE} px on each side (usually 360 × 363)",
        )


def _check_colour(image: Image.Image) -> None:
    """Refuse colours that would have to be guessed: the stain's colours are what the classes are told apart by."""
    mode = image.mode
    if mode in {"1", "L", "LA"} or mode.startswith(("I", "F")):
        raise ImageRefused("no-colour", "the image is grey; the colours of the stain are needed to classify a cell")
    if mode not in {"RGB", "RGBA", "RGBX", "P"}:
        raise ImageRefused("wrong-colours", f"the image's colours are {mode}, not RGB; export it as RGB")


def _to_half_size_rgb(image: Image.Image) -> Image.Image:
    if image.format == "JPEG":
        full_width = image.width
        image.draft("RGB", (image.width // 2, image.height // 2))
        half = image if image.width < full_width else image.reduce(2)
    else:
        half = _opaque(image).reduce(2)
    ImageOps.exif_transpose(half, in_place=True)
    return half.convert("RGB") if half.mode != "RGB" else half


def _opaque(image: Image.Image) -> Image.Image:
    """Return a palette or alpha image as RGB; see-through pixels have no colour, so they are refused."""
    rgba = image.convert("RGBA") if image.mode in {"P", "RGBA"} else image
    if rgba.mode == "RGBA" and rgba.getchannel("A").getextrema()[0] != 255:
        raise ImageRefused("transparent", "the image has see-through pixels; export it without an alpha channel")
    return rgba.convert("RGB")
