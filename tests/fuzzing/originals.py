"""The images to mutate: one drawn cell in every format that the decoder reads, a few kilobytes each."""

import io

import numpy as np
from PIL import Image

_SIDE = 256


def originals() -> list[bytes]:
    """Return the files; they are the same in every run."""
    picture = _cell()
    turned = Image.Exif()
    turned[0x0112] = 6
    return [
        _saved(picture, "JPEG", quality=85),
        _saved(picture, "JPEG", quality=85, subsampling=0, optimize=True),
        _saved(picture, "JPEG", quality=60, progressive=True),
        _saved(picture, "JPEG", quality=85, restart_marker_blocks=4),
        _saved(picture, "JPEG", quality=85, exif=turned, comment=b"a cell", dpi=(300, 300)),
        _saved(picture.convert("L"), "JPEG", quality=85),
        _saved(picture.convert("CMYK"), "JPEG", quality=60),
        _saved(picture, "PNG"),
        _saved(picture.quantize(16), "PNG"),
        _saved(picture.convert("RGBA"), "PNG"),
        _saved(picture, "BMP"),
        _saved(picture, "TIFF", compression="tiff_lzw"),
        _saved(picture, "TIFF", compression="tiff_adobe_deflate"),
        _saved(picture, "TIFF", compression="jpeg"),
        _saved(picture, "TIFF", compression="packbits"),
    ]


def _cell() -> Image.Image:
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    distance = np.hypot(rows - _SIDE / 2, columns - _SIDE / 2)
    pixels = np.full((_SIDE, _SIDE, 3), (225, 190, 195), np.uint8)
    pixels[distance < 70] = (190, 150, 200)
    pixels[distance < 40] = (90, 40, 130)
    return Image.fromarray(pixels)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()
