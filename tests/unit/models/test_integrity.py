"""Images that are not as they were written are refused, also where a decoder makes pixels of them without a word."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from smearcount.models.errors import ImageRefused
from smearcount.models.integrity import PAGE
from smearcount.models.preprocessing import decode_cell

SCAN, END = b"\xff\xda", b"\xff\xd9"

JPEGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "poor": {"quality": 50},
    "full colour": {"subsampling": 0},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 8},
    "turned": {"turned": True},
}


def cell(width: int = 360, height: int = 363) -> Image.Image:
    """Draw a stained cell on a grainy background."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    distance = np.hypot(x - width / 2, y - height / 2)
    pixels = np.where((distance < 90)[..., None], np.array([190.0, 160, 210]), np.array([225.0, 200, 205]))
    pixels = np.where((distance < 50)[..., None], np.array([90.0, 40, 130]), pixels)
    grain = np.random.default_rng(1).normal(0, 12, pixels.shape)
    return Image.fromarray((pixels + grain).clip(1, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "JPEG", *, turned: bool = False, **options: Any) -> bytes:
    file = io.BytesIO()
    if turned:
        exif = Image.Exif()
        exif[0x0112] = 6
        options["exif"] = exif
    image.save(file, kind, **({"quality": 90} if kind == "JPEG" else {}) | options)
    return file.getvalue()


def code_of(data: bytes) -> str:
    try:
        decode_cell(data)
    except ImageRefused as refused:
        return refused.code
    return "counted"


def without_page(data: bytes, place: int) -> bytes:
    """Return the bytes with zeros in the place of a page of the disk."""
    return data[:place] + bytes(len(data[place : place + PAGE])) + data[place + PAGE :]


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_with_a_lost_page_is_refused_wherever_the_page_was(kind: str) -> None:
    whole = encoded(cell(), **JPEGS[kind])
    scan = whole.find(SCAN)
    assert code_of(whole) == "counted"
    rng = random.Random(1)
    places = [rng.randrange(scan + 12, len(whole) - PAGE - 2) for _ in range(40)]

    assert {code_of(without_page(whole, place)) for place in places} == {"damaged"}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.99])
def test_a_part_of_a_jpegs_scan_with_an_end_marker_is_refused(kind: str, share: float) -> None:
    whole = encoded(cell(), **JPEGS[kind])
    scan = whole.rfind(SCAN)

    assert code_of(whole[: scan + 14 + int(share * (len(whole) - scan - 16))] + END) == "damaged"


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_with_more_or_less_in_the_middle_is_refused(kind: str) -> None:
    whole = encoded(cell(), **JPEGS[kind])
    middle = (whole.find(SCAN) + len(whole)) // 2  # the last scan of a progressive one holds little, and shows less

    assert code_of(whole[:middle] + whole[middle + 700 :]) == "damaged"
    assert code_of(whole[:middle] + whole[middle - 700 :]) == "damaged"


def test_zeros_in_a_jpegs_header_are_no_lost_page() -> None:
    whole = encoded(cell())
    thumbnail = encoded(cell().resize((32, 32)))
    # A camera's notes are padded with zeros, and so is what lies behind the end.
    notes = thumbnail + bytes(2 * PAGE)
    padded = whole[:2] + b"\xff\xe5" + struct.pack(">H", len(notes) + 2) + notes + whole[2:] + bytes(2 * PAGE)

    assert np.array_equal(decode_cell(padded), decode_cell(whole))


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_an_image_with_wide_margins_of_one_colour_is_whole(quality: int) -> None:
    for colour in ("white", "black"):
        margin = Image.new("RGB", (500, 500), colour)
        margin.paste(cell().resize((260, 260)), (120, 120))
        for options in ({}, {"optimize": True}, {"progressive": True}, {"subsampling": 0, "optimize": True}):
            data = encoded(margin, quality=quality, **options)
            assert code_of(data) == "counted", (colour, options)
        for kind in ("PNG", "BMP", "TIFF"):
            assert code_of(encoded(margin, kind)) == "counted", (colour, kind)


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
def test_a_png_whose_checksum_is_wrong_is_refused(at: float) -> None:
    # Stored without compression, so that the damage gives other valid pixels and no error of the decoder.
    whole = encoded(cell(), "PNG", compress_level=0)
    place = int(at * len(whole))
    assert code_of(whole) == "counted"

    assert code_of(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]) == "damaged"


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(pixels: bytes, *, end: bool = True) -> bytes:
    header = struct.pack(">IIBBBBB", 360, 363, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", pixels)
        + (_chunk(b"IEND", b"") if end else b"")
    )


def test_a_png_whose_pixels_have_another_checksum_or_no_end_is_refused() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in np.asarray(cell()))
    deflated = zlib.compress(rows)
    assert code_of(_png(deflated)) == "counted"

    assert code_of(_png(deflated[:-4] + bytes(4))) == "damaged", "another checksum"
    assert code_of(_png(deflated[:-4])) == "damaged", "no checksum"
    assert code_of(_png(deflated, end=False)) == "damaged", "no end"
    assert code_of(_png(zlib.compress(rows + bytes(10_000_000)))) == "damaged", "far more pixels than there are"


TIFFS: dict[str, dict[str, Any]] = {
    "uncompressed": {},
    "LZW": {"compression": "tiff_lzw"},
    "Deflate": {"compression": "tiff_adobe_deflate"},
    "old Deflate": {"compression": "tiff_deflate"},
    "JPEG": {"compression": "jpeg", "quality": 90},
    "PackBits": {"compression": "packbits"},
    "strips": {"compression": "packbits", "strip_size": 20_000},
}


@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_with_a_lost_page_is_refused_whatever_its_compression(kind: str) -> None:
    whole = encoded(cell(), "TIFF", **TIFFS[kind])
    assert code_of(whole) == "counted"
    # The first page has the header, the last one the end or a directory.
    places = range(PAGE, len(whole) // PAGE * PAGE - PAGE, PAGE)
    rng = random.Random(1)

    codes = {place: code_of(without_page(whole, place)) for place in rng.sample(places, min(40, len(places)))}

    assert set(codes.values()) == {"damaged"}, codes


@pytest.mark.parametrize("kind", ["zstd", "lzma"])
def test_a_tiff_whose_compression_would_not_show_damage_is_refused(kind: str) -> None:
    data = encoded(cell(), "TIFF", compression=kind)

    with pytest.raises(ImageRefused, match="LZW or Deflate"):
        decode_cell(data)


def test_a_tiff_of_tiles_or_with_false_places_does_not_break_the_check() -> None:
    whole = encoded(cell(), "TIFF", compression="packbits")
    with Image.open(io.BytesIO(whole)) as image:
        offsets = image.tag_v2[273]  # type: ignore[attr-defined]
    assert len(offsets) >= 1
    for damage in (b"\xff" * 4, b"\0" * 4):
        for place in range(8, 300, 4):
            spoilt = whole[:place] + damage + whole[place + 4 :]
            assert code_of(spoilt) in {"counted", "damaged", "not-an-image", "no-colour", "wrong-size", "wrong-colours"}


def test_a_bmp_with_a_lost_page_is_refused() -> None:
    whole = encoded(cell(), "BMP")
    assert code_of(whole) == "counted"

    for place in range(PAGE, len(whole) - PAGE, 7 * PAGE):
        assert code_of(without_page(whole, place)) == "damaged"
    full_length = whole[: 20 * PAGE] + bytes(len(whole) - 20 * PAGE)
    assert code_of(full_length) == "damaged", "a copy in progress that has its full length already"


def bmp(alpha: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]], *, header: int = 108) -> bytes:
    """Write a 32-bit BMP as Windows does, with masks for four channels (BITMAPV4HEADER or BITMAPV5HEADER)."""
    rgb = np.asarray(cell())
    blue_first = np.dstack([rgb[..., ::-1], alpha(rgb[..., 0])])[::-1]
    pixels = np.ascontiguousarray(blue_first, np.uint8).tobytes()
    height, width = rgb.shape[:2]
    info = struct.pack("<IiiHHIIiiII", header, width, height, 1, 32, 3, len(pixels), 2835, 2835, 0, 0)
    info += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs"
    info += bytes(header - len(info))
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(pixels), 0, 0, 14 + len(info)) + info + pixels


@pytest.mark.parametrize("header", [108, 124])
def test_a_bmp_whose_alpha_is_zero_everywhere_has_none(header: int) -> None:
    data = bmp(np.zeros_like, header=header)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema() == (0, 0)

    assert np.array_equal(decode_cell(data), decode_cell(encoded(cell(), "BMP")))
    assert np.array_equal(decode_cell(bmp(lambda red: np.full_like(red, 255))), decode_cell(data))


def test_a_bmp_that_is_see_through_in_places_is_refused() -> None:
    def half(red: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.where(np.arange(red.shape[1]) < 100, 0, 255)[None, :].repeat(red.shape[0], 0)

    assert code_of(bmp(half)) == "transparent"
    assert code_of(bmp(lambda red: np.full_like(red, 128))) == "transparent"


def _with_alpha(value: int) -> Image.Image:
    image = cell().convert("RGBA")
    image.putalpha(value)
    return image


def test_an_alpha_of_zero_in_a_format_that_means_it_is_see_through() -> None:
    assert code_of(encoded(_with_alpha(0), "PNG")) == "transparent"
    assert code_of(encoded(_with_alpha(0), "TIFF")) == "transparent", "its ExtraSamples say that it is alpha"


def tiff_of_four_samples(image: Image.Image) -> bytes:
    """Write an uncompressed TIFF of four samples a pixel, whose header does not say what the fourth one is."""
    width, height = image.size
    pixels = image.tobytes()
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 4, 122), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 130)]
    tags += [(277, 3, 1, 4), (278, 3, 1, height), (279, 4, 1, len(pixels))]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + struct.pack("<I", 0)
    return head + struct.pack("<HHHH", 8, 8, 8, 8) + pixels


def test_a_tiffs_fourth_sample_that_nothing_calls_alpha_is_none() -> None:
    data = tiff_of_four_samples(_with_alpha(0))

    assert np.array_equal(decode_cell(data), decode_cell(encoded(cell(), "TIFF")))
    assert code_of(tiff_of_four_samples(_with_alpha(128))) == "transparent"


def test_pillows_setting_for_truncated_images_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    for data in (encoded(cell()), encoded(cell(), "PNG"), encoded(cell(), "TIFF", compression="tiff_adobe_deflate")):
        assert code_of(data[: len(data) // 2]) in {"damaged", "not-an-image"}
