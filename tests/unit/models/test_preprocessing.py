"""What becomes of a cell image's bytes, and which bytes are refused, with which code."""

import contextlib
import io
import struct
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from smearcount.inbox.reading import LARGEST_FILE
from smearcount.models.errors import ImageRefused
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import central_square, decode_cell, decode_half_size

from support.examples import examples

LOSSLESS = ("PNG", "BMP", "TIFF")
ORIENTATION = 0x0112


def cell(width: int = 360, height: int = 364) -> Image.Image:
    """Draw something like a stained cell, the same from no two sides."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    nucleus = np.hypot((x - width / 2 - 15) / 60, (y - height / 2 + 10) / 40) < 1
    plasma = np.hypot(x - width / 2, y - height / 2) < 100
    background = np.stack([235 - x / 20, 220 - y / 15, 200 + x / 30], axis=-1)
    pixels = np.where(plasma[..., None], np.array([190.0, 160, 210]), background)
    pixels = np.where(nucleus[..., None], np.array([90.0, 40, 130]), pixels)
    grain = np.random.default_rng(1).integers(-3, 4, pixels.shape)
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 95} if kind == "JPEG" else {}) | options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """Write a PNG by hand, with a header that need not be true."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(width: int, height: int, bits: int) -> bytes:
    """Write an uncompressed RGB TIFF by hand, of black pixels with `bits` bits per colour."""
    size = width * height * 3 * bits // 8
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 128)]
    tags += [(277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, size)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", 0)
    assert len(head) == 122
    return head + struct.pack("<HHH", bits, bits, bits) + bytes(size)


def code_of(data: bytes) -> str:
    with pytest.raises(ImageRefused) as refused:
        decode_cell(data)
    assert "\n" not in str(refused.value)
    return refused.value.code


@pytest.mark.parametrize("size", [(256, 256), (257, 259), (360, 363), (363, 360), (366, 369), (511, 512)])
@pytest.mark.parametrize("kind", ["JPEG", *LOSSLESS])
def test_the_centre_at_half_size(size: tuple[int, int], kind: str) -> None:
    half = decode_half_size(encoded(cell(*size), kind))
    assert half.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2, 3)
    pixels = decode_cell(encoded(cell(*size), kind))
    assert pixels.shape == (INPUT_SIDE, INPUT_SIDE, 3)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, central_square(half, INPUT_SIDE))
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize("kind", LOSSLESS)
def test_other_formats_look_like_the_jpeg(kind: str) -> None:
    from_jpeg = decode_cell(encoded(cell(), subsampling=0)).astype(int)
    from_other = decode_cell(encoded(cell(), kind)).astype(int)
    assert np.abs(from_jpeg - from_other).mean() < 2
    assert np.array_equal(from_other, decode_cell(encoded(cell(), "PNG")))


@pytest.mark.parametrize("options", [{"progressive": True}, {"optimize": True}, {"subsampling": 0}, {"quality": 100}])
def test_every_way_of_writing_a_jpeg(options: dict[str, Any]) -> None:
    difference = decode_cell(encoded(cell(), **options)).astype(int) - decode_cell(encoded(cell()))
    assert np.abs(difference).mean() < 2


def by_pillow(data: bytes) -> np.ndarray[Any, Any]:
    """The half-size image as Pillow alone decodes it."""
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (image.width // 2, image.height // 2))
        return np.asarray(image)


@pytest.mark.parametrize("size", [(256, 256), (257, 259), (360, 363), (363, 361), (511, 512)])
@pytest.mark.parametrize(
    "options",
    [
        *({"subsampling": kind} for kind in ("4:4:4", "4:2:2", "4:2:0")),
        {"progressive": True},
        {"quality": 20},
        {"quality": 100},
        {"keep_rgb": True},
        {"restart_marker_blocks": 3},
        {"comment": b"a cell", "dpi": (72, 72)},
    ],
)
def test_plain_jpegs_have_the_pixels_that_pillow_gives(size: tuple[int, int], options: dict[str, Any]) -> None:
    data = encoded(cell(*size), **options)
    assert np.array_equal(decode_half_size(data), by_pillow(data))


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_opaque_alpha_and_palettes_are_their_colours(kind: str) -> None:
    assert np.array_equal(decode_cell(encoded(cell().convert("RGBA"), kind)), decode_cell(encoded(cell(), kind)))
    palette = decode_cell(encoded(cell().quantize(256), kind))
    assert np.abs(palette.astype(int) - decode_cell(encoded(cell(), kind))).mean() < 8


TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", TURNED)
def test_exif_orientation_turns_the_pixels(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    plain, turned = (decode_cell(encoded(cell(), kind, **extra)) for extra in ({}, {"exif": exif}))
    assert np.array_equal(turned, TURNED[orientation](plain))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(40), b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
def test_unreadable_exif_does_not_matter(exif: bytes) -> None:
    assert np.array_equal(decode_cell(encoded(cell(), exif=exif)), decode_cell(encoded(cell())))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_impossible_orientation_does_not_matter(orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    assert np.array_equal(decode_cell(encoded(cell(), exif=exif)), decode_cell(encoded(cell())))


def transparent() -> Image.Image:
    image = cell().convert("RGBA")
    image.putpixel((3, 3), (200, 100, 200, 254))
    return image


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "0 bytes": (lambda: b"", "empty"),
    "text": (lambda: b"patient;slide\n1;2\n", "not-an-image"),
    "PDF": (lambda: b"%PDF-1.7\n" + bytes(2000), "not-an-image"),
    "GIF": (lambda: encoded(cell().quantize(64), "GIF"), "not-an-image"),
    "WebP": (lambda: encoded(cell(), "WEBP"), "not-an-image"),
    "zeros": (lambda: bytes(20_000), "not-an-image"),
    "half a JPEG": (lambda: encoded(cell())[:9000], "damaged"),
    "JPEG header": (lambda: encoded(cell())[:25], "damaged"),
    "JPEG filled up with zeros": (lambda: encoded(cell())[:-3000] + bytes(3000), "damaged"),
    "half a PNG": (lambda: encoded(cell(), "PNG")[:3000], "damaged"),
    "half a TIFF": (lambda: encoded(cell(), "TIFF", compression="tiff_lzw")[:3000], "damaged"),
    "half a BMP": (lambda: encoded(cell(), "BMP")[:30_000], "damaged"),
    "PNG of too few rows": (lambda: png(360, 363, 8, 2, bytes(1000)), "damaged"),
    "grey JPEG": (lambda: encoded(cell().convert("L")), "no-colour"),
    "grey PNG with alpha": (lambda: encoded(cell().convert("LA"), "PNG"), "no-colour"),
    "black and white": (lambda: encoded(cell().convert("1"), "PNG"), "no-colour"),
    "grey, saved as RGB": (lambda: encoded(cell().convert("L").convert("RGB")), "no-colour"),
    "blank": (lambda: encoded(Image.new("RGB", (360, 363), "white"), "PNG"), "no-colour"),
    "16-bit grey": (lambda: encoded(Image.new("I;16", (360, 363), 40_000), "PNG"), "no-colour"),
    "32-bit grey": (lambda: encoded(Image.new("F", (360, 363), 0.5), "TIFF"), "no-colour"),
    "16-bit PNG": (lambda: png(360, 363, 16, 2, bytes((360 * 6 + 1) * 363)), "wrong-colours"),
    "16-bit TIFF": (lambda: tiff(360, 363, 16), "wrong-colours"),
    "CMYK JPEG": (lambda: encoded(cell().convert("CMYK")), "wrong-colours"),
    "CMYK TIFF": (lambda: encoded(cell().convert("CMYK"), "TIFF"), "wrong-colours"),
    "see-through": (lambda: encoded(transparent(), "PNG"), "transparent"),
    "see-through palette": (lambda: encoded(cell().quantize(8), "PNG", transparency=0), "transparent"),
    "see-through palette by degrees": (
        lambda: encoded(cell().quantize(8), "PNG", transparency=bytes([255, 128, 255])),
        "transparent",
    ),
    "too small": (lambda: encoded(cell(255, 360)), "wrong-size"),
    "too large": (lambda: encoded(cell(360, 513)), "wrong-size"),
    "pages": (lambda: encoded(cell(), "TIFF", save_all=True, append_images=[cell()]), "several-images"),
    "frames": (lambda: encoded(cell(), "PNG", save_all=True, append_images=[transparent()]), "several-images"),
    "pictures": (lambda: encoded(cell(), "MPO", save_all=True, append_images=[cell()]), "several-images"),
    "too many bytes": (lambda: encoded(cell()) + bytes(LARGEST_FILE), "too-large"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    make, code = REFUSED[what]
    assert code_of(make()) == code


def test_the_hand_written_tiff_is_otherwise_good() -> None:
    assert code_of(tiff(360, 363, 8)) == "no-colour"  # black; its depth is no obstacle


@pytest.mark.parametrize("side", [10_000, 12_000, 50_000])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_a_decompression_bomb_is_not_decoded(side: int, action: str) -> None:
    bomb = png(side, side, 8, 2, bytes(10_000_000))
    started = time.thread_time()
    with warnings.catch_warnings():
        warnings.simplefilter(action)  # type: ignore[arg-type]
        assert code_of(bomb) == "wrong-size"
    assert time.thread_time() - started < 0.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "BMP"])
def test_no_part_of_an_image_passes_for_the_whole(kind: str) -> None:
    options = {"compression": "tiff_lzw"} if kind == "TIFF" else {}
    whole = encoded(cell(), kind, **options)
    for length in [1, 3, 10, 30, 100, *range(200, len(whole), max(1, len(whole) // 40))]:
        assert code_of(whole[:length]) in {"damaged", "not-an-image"}, length


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_thumbnail_does_not_stand_in_for_the_end() -> None:
    thumbnail = encoded(cell(256, 256).resize((32, 32)))
    whole = encoded(cell(), exif=b"Exif\0\0" + thumbnail)
    decode_cell(whole)
    assert code_of(whole[:-4000] + bytes(4000)) == "damaged"


def test_bytes_after_the_end_do_not_matter() -> None:
    assert np.array_equal(decode_cell(encoded(cell()) + b"trailer\0\0"), decode_cell(encoded(cell())))


def test_decoding_in_threads_gives_the_same() -> None:
    kinds = [encoded(cell(), kind) for kind in ("JPEG", *LOSSLESS)]
    with ThreadPoolExecutor(4) as pool:
        for pixels, expected in zip(
            pool.map(decode_cell, kinds * 10), [decode_cell(k) for k in kinds] * 10, strict=True
        ):
            assert np.array_equal(pixels, expected)


WHOLES = [encoded(cell(), kind) for kind in ("JPEG", *LOSSLESS)]


@settings(max_examples=examples(60))
@given(
    whole=st.sampled_from(WHOLES),
    changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=30),
    near_the_start=st.booleans(),
)
def test_damage_is_refused_or_survived(whole: bytes, changes: list[tuple[float, int]], near_the_start: bool) -> None:
    data = bytearray(whole)
    reach = 700 if near_the_start else len(data)
    for place, value in changes:
        data[int(place * (reach - 1))] = value
    with warnings.catch_warnings(), contextlib.suppress(ImageRefused):
        warnings.simplefilter("ignore")
        assert decode_cell(bytes(data)).shape == (INPUT_SIDE, INPUT_SIDE, 3)
