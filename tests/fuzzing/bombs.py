"""Image files that ask a decoder for far more work than their size suggests, for tests and for the fuzzer."""

import io
import struct
import zlib
from collections.abc import Mapping
from functools import cache

import numpy as np
from PIL import Image

_SIDE = 512


def scans(number: int) -> bytes:
    """Return a progressive JPEG of so many scans beside its own ten: 12 bytes each, and no decoder warns of them.

    Each one says again that the last coefficient of a colour is zero everywhere: one code (2^12 blocks are empty) for all its
    blocks, which the decoder passes through one by one.
    """
    whole = _saved(_SIDE, "JPEG", quality=75, progressive=True)
    one_code = b"\xff\xc4" + struct.pack(">HB", 20, 0x10) + b"\x01" + bytes(15) + b"\xc0"
    scan = b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, 1, 0, 63, 63, 0) + b"\x00\x07"
    return whole[:-2] + one_code + scan * number + whole[-2:]


def segments(number: int) -> bytes:
    """Return a JPEG with so many empty comments."""
    whole = _saved(_SIDE, "JPEG")
    return whole[:2] + b"\xff\xfe\x00\x02" * number + whole[2:]


def junk(size: int) -> bytes:
    """Return a JPEG with bytes that belong to nothing before its first segment."""
    whole = _saved(_SIDE, "JPEG")
    return whole[:2] + b"\xff" * size + whole[2:]


def fill(size: int) -> bytes:
    """Return a JPEG with so many bytes that may precede a marker, and then none."""
    return b"\xff\xd8" + b"\xff" * size + b"\x00" * 8 + _saved(_SIDE, "JPEG")[2:]


def tags(number: int = 5000, kind: str = "JPEG") -> bytes:
    """Return an image whose Exif directory, or own directory, has so many tags that are each the whole file."""
    if kind == "TIFF":
        return _tags(number, filler=1_500_000)
    exif = b"Exif\0\0" + _tags(number, filler=0)
    whole = _saved(_SIDE, "JPEG")
    parts = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in _pieces(exif, 65_000))
    return whole[:2] + parts + whole[2:]


def directories(number: int) -> bytes:
    """Return a TIFF with so many directories, of one tag each."""
    size = 2 + 12 + 4
    found = [
        struct.pack("<HHHII", 1, 256, 4, 1, 300) + struct.pack("<I", 8 + size * (index + 1)) for index in range(number)
    ]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(found)


def pixels(side: int) -> bytes:
    """Return a PNG of side x side pixels of one colour: a few kilobytes."""
    return _png(side, side, [_chunk(b"IDAT", zlib.compress(bytes((side * 4 + 1) * side), 9))])


def chunks(number: int) -> bytes:
    """Return a PNG with so many empty chunks of text."""
    rows = zlib.compress(bytes((_SIDE * 4 + 1) * _SIDE), 9)
    return _png(_SIDE, _SIDE, [*([_chunk(b"tEXt", b"a\0")] * number), _chunk(b"IDAT", rows)])


def inflating() -> bytes:
    """Return a PNG whose pixels are followed by a hundred times as many."""
    return _png(_SIDE, _SIDE, [_chunk(b"IDAT", zlib.compress(bytes(100 * (_SIDE * 4 + 1) * _SIDE), 9))])


@cache
def all_bombs() -> Mapping[str, bytes]:
    """Return bombs of every kind by name, each of at most 2 MB."""
    return {
        "scans": scans(160_000),
        "segments": segments(400_000),
        "junk": junk(1_500_000),
        "fill": fill(1_500_000),
        "tags of Exif": tags(),
        "tags of a TIFF": tags(kind="TIFF"),
        "directories": directories(60_000),
        "pixels": pixels(8192),
        "chunks": chunks(100_000),
        "inflating": inflating(),
    }


def _saved(side: int, kind: str, **options: object) -> bytes:
    noise = np.random.default_rng(7).integers(60, 220, (side // 8, side // 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((side, side)).save(file, kind, **options)
    return file.getvalue()


def _tags(number: int, filler: int) -> bytes:
    end = 10 + number * 12 + 4
    size = end + filler
    # Type 7: bytes without a meaning. Each tag is the whole of the file.
    entries = b"".join(struct.pack("<HHII", 1000 + index, 7, size - 8, 8) for index in range(number))
    return b"II*\0" + struct.pack("<IH", 8, number) + entries + bytes(4 + filler)


def _png(width: int, height: int, parts: list[bytes]) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(parts) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _pieces(data: bytes, size: int) -> list[bytes]:
    # Each segment begins with the name of its kind, which readers cut off.
    begin, rest = data[:6], data[6:]
    return [begin + rest[place : place + size] for place in range(0, len(rest), size)]
