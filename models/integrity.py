"""Whether the bytes of an image are those that were written: what a decoder passes over in silence is looked at here.

A copy that broke off, a lost page of a disk or a faulty memory leaves an image that a lenient decoder still turns into
pixels, some of them wrong, and such a cell must not be counted. Pillow is lenient: it drops the warnings of libjpeg and
libtiff, and reads the pixels of a PNG without their checksums. So a JPEG is decoded by simplejpeg alone, which raises what
libjpeg warns of, and the functions here look at the other formats.

What no format can show stays unseen: a changed bit in uncompressed pixels, or one that turns a code of a JPEG into another
valid one.
"""

import re
import struct
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image
from PIL.ExifTags import Base as Tag

from smearcount.inbox.complexity import MOST_PARTS
from smearcount.models.errors import ImageRefused

#: Bytes that a file system keeps or loses together. So many zero bytes in a row are no codes of a JPEG: two bits for each block
#: are the least, which makes 3,072 bytes of the largest image if it is of one colour and in full colour resolution.
PAGE = 4096
_LOST = bytes(PAGE)
#: Looked for first: it takes longer to begin looking for a whole page than to look for this one, and few images have it.
_FEW_ZEROS = bytes(64)


_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"

_PNG_FIRST_CHUNK_AT = 8
_PNG_HEAD = struct.Struct(">I4s")
#: A bound of decompressed pixels, in bytes: twice those of the largest image, with 16-bit RGBA.
_MOST_BYTES = 4 * 1024 * 1024

_ZEROS = re.compile(rb"\0*")

#: The compressions of TIFF whose damage shows, by the numbers that TIFF gives them.
_RAW, _LZW, _JPEG, _PACKBITS = 1, 5, 7, 32773
_DEFLATE = frozenset({8, 32946})
_SHOWING_DAMAGE = frozenset({_RAW, _LZW, _JPEG, _PACKBITS, *_DEFLATE})
#: In pixels: a bound of the strips or tiles of a TIFF, so that a false header takes neither time nor memory.
_LONGEST_PART_SIDE = 1024


def strict_jpeg(data: bytes, *, least_height: int = 1, least_width: int = 1) -> npt.NDArray[np.uint8]:
    """Decode a JPEG at the smallest scale that is no smaller than asked for.

    Returns:
        Shape (height, width, 3), RGB, 0-255.

    Raises:
        ImageRefused: libjpeg warns of anything, or the image is not whole.
    """
    scan = _first_scan(data)
    if data.rfind(_JPEG_END) < scan:
        # A copy in progress may have its full length already, the rest being zeros. The marker is looked for after the scan
        # begins, because the thumbnail in a header has one of its own.
        raise damaged("its end is missing; copy the file again")
    if data.find(_FEW_ZEROS, scan) >= 0 and data.find(_LOST, scan, data.find(_JPEG_END, scan)) >= 0:
        raise damaged("a part of it is lost, and zeros are in its place; copy the file again")
    try:
        decoded: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, colorspace="RGB", min_height=least_height, min_width=least_width
        )
    except ValueError as error:
        # The few kinds of JPEG that Pillow alone can decode are refused here, too: their damage would not show.
        raise damaged(f"{error}; copy the file again, or export it as a plain JPEG") from error
    return decoded


def check_whole(image: Image.Image, data: bytes) -> None:
    """Refuse a PNG, BMP or TIFF that its decoder would take although it is not as it was written.

    Args:
        image: the image, opened and not decoded yet.
        data: the file's bytes.

    Raises:
        ImageRefused: the image is damaged, or of a kind whose damage would not show.
    """
    if image.format == "PNG":
        _check_png(data)
    elif image.format == "BMP":
        _check_no_page_lost(data)
    elif image.format == "TIFF":
        _check_tiff(image.tag_v2, data)  # type: ignore[attr-defined]


def damaged(what: str) -> ImageRefused:
    """Return the refusal of an image that is not as it was written; a decoder's words may hold bytes of the file."""
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in what)
    return ImageRefused("damaged", f"the image is damaged: {line}")


def _first_scan(data: bytes) -> int:
    """Return where a JPEG's first scan begins; its segments before that may hold whole JPEGs, such as a thumbnail."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == _JPEG_SCAN[1]:
            return place
        # A marker may be preceded by any number of bytes 0xFF.
        place += 1 if marker == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return max(data.rfind(_JPEG_SCAN), 0)


def _check_png(data: bytes) -> None:
    """Compare the checksums of all chunks, and that of the pixels."""
    place = _PNG_FIRST_CHUNK_AT
    pixels = []
    name = b""
    while name != b"IEND":
        if place + _PNG_HEAD.size > len(data):
            raise damaged("its end is missing; copy the file again")
        size, name = _PNG_HEAD.unpack_from(data, place)
        end = place + _PNG_HEAD.size + size
        if zlib.crc32(data[place + 4 : end]).to_bytes(4, "big") != data[end : end + 4]:
            raise damaged("a checksum is wrong; copy the file again")
        if name == b"IDAT":
            pixels.append(data[place + _PNG_HEAD.size : end])
        place = end + 4
    _check_deflated(b"".join(pixels))


def _check_deflated(data: bytes) -> None:
    """Refuse deflated pixels that do not end, or have another checksum than when they were written."""
    stream = zlib.decompressobj()
    try:
        stream.decompress(data, _MOST_BYTES)
    except zlib.error as error:
        raise damaged(f"{error}; copy the file again") from error
    if not stream.eof:
        raise damaged("the end of its pixels is missing; copy the file again")


def _check_no_page_lost(data: bytes) -> None:
    """Refuse uncompressed pixels with a page of zeros that begins or ends where a page of the file does.

    Black is zero as well, but a black margin or background begins and ends where the image has it.
    """
    place = data.find(_LOST) if _FEW_ZEROS in data else -1
    while place >= 0:
        zeros = _ZEROS.match(data, place)
        end = zeros.end() if zeros else place
        if place % PAGE == 0 or end % PAGE == 0:
            raise damaged("a part of it is lost, and zeros are in its place; copy the file again")
        place = data.find(_LOST, end)


def _check_tiff(tags: Mapping[int, object], data: bytes) -> None:
    compression = tags.get(Tag.Compression, _RAW)
    if compression not in _SHOWING_DAMAGE:
        raise damaged(f"perhaps, but TIFF's compression {compression} would not show it; export it with LZW or Deflate")
    if compression in {_RAW, _LZW}:  # libtiff's errors of LZW are errors of Pillow
        _check_no_page_lost(data)
        return
    parts = list(_strips_or_tiles(tags, data))
    if compression == _PACKBITS:
        if sum(map(_unpacked_size, parts)) != _pixels_size(tags, len(parts)):
            raise damaged("its pixels are too few or too many; copy the file again")
    elif compression in _DEFLATE:
        for part in parts:
            _check_deflated(part)
    else:
        tables = tags.get(Tag.JPEGTables, b"")
        for part in parts:
            _check_jpeg_part(tables[:-2] + part[2:] if isinstance(tables, bytes) and tables else part)


def _check_jpeg_part(data: bytes) -> None:
    """Refuse a strip or tile that libjpeg warns of."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise damaged(f"{error}; copy the file again") from error
    if max(int(height), int(width)) > _LONGEST_PART_SIDE:
        raise damaged("a part is larger than the whole; copy the file again")
    strict_jpeg(data)


def _strips_or_tiles(tags: Mapping[int, object], data: bytes) -> Iterator[bytes]:
    """Yield the compressed pixels of each strip or tile."""
    is_tiled = Tag.TileOffsets in tags
    offsets, sizes = (
        _numbers(tags, tag)
        for tag in ((Tag.TileOffsets, Tag.TileByteCounts) if is_tiled else (Tag.StripOffsets, Tag.StripByteCounts))
    )
    if len(offsets) != len(sizes) or len(sizes) > MOST_PARTS or sum(sizes) > len(data):
        raise damaged("the places of its pixels are wrong; copy the file again")
    for place, size in zip(offsets, sizes, strict=True):
        yield data[place : place + size]


def _pixels_size(tags: Mapping[int, object], parts: int) -> int:
    """Return how many bytes the strips or tiles of a TIFF have when they are unpacked."""
    samples = _numbers(tags, Tag.SamplesPerPixel, 1)[0]
    bits = _numbers(tags, Tag.BitsPerSample, 1)[0]
    planes = samples if _numbers(tags, Tag.PlanarConfiguration, 1)[0] != 1 else 1
    is_tiled = Tag.TileOffsets in tags
    width = _numbers(tags, Tag.TileWidth if is_tiled else Tag.ImageWidth)[0]
    height = _numbers(tags, Tag.TileLength if is_tiled else Tag.ImageLength)[0]
    row = (width * samples // planes * bits + 7) // 8
    return row * height * (parts if is_tiled else planes)


def _unpacked_size(part: bytes) -> int:
    """Return how many bytes PackBits (TIFF 6.0, section 9) unpacks to; what lies beyond the end counts as unpacked."""
    place = size = 0
    while place < len(part):
        head = part[place]
        if head < 128:
            size += head + 1
            place += head + 2
        elif head > 128:
            size += 257 - head
            place += 2
        else:
            place += 1
    return size


def _numbers(tags: Mapping[int, object], tag: int, otherwise: int | None = None) -> tuple[int, ...]:
    value = tags.get(tag, otherwise)
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(isinstance(number, int) for number in numbers):
        raise damaged(f"its TIFF tag {tag} is missing or no number; copy the file again")
    return numbers
