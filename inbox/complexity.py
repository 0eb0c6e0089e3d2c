"""How much work an image file may make, found out from its structure before any decoder sees it.

A decoder does what the file says: a JPEG of 8 MB can ask for 700,000 passes over the image, a directory of tags for the same
megabyte 65,535 times. A cell image needs none of that: of 14,765 JPEGs that analyzers have written, none has more than 1 scan, 11
segments and 28,248 bytes. The bounds leave room for other programs: a progressive JPEG has 10 scans, some have 20.

Workers and web server both look here first. Sizes in pixels are checked by them, since both may show different sizes.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

#: Scans of a JPEG. Each one of a progressive JPEG is a pass over the whole image.
MOST_SCANS = 32
#: Segments of a JPEG, and chunks of a PNG; the pixels of a PNG of 2 MB are 256 chunks where a program makes small ones.
MOST_SEGMENTS, MOST_CHUNKS = 256, 1024
#: Bytes of a JPEG that belong to nothing; a decoder looks through them one by one.
_MOST_JUNK = 4096
#: Directories of a TIFF, tags in each, and strips or tiles.
_MOST_DIRECTORIES, _MOST_TAGS, MOST_PARTS = 64, 256, 4096

# The last of any number of bytes 0xFF: a pattern with all of them takes a time that grows with the square of their number.
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_SCANS = b"\xff\xda"
_SCAN, _END, _EXIF, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
#: Markers without a length: TEM, RSTn and SOI.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_UNUSUAL = _BARE | {0x00, 0xFF, _END}
_WITH_TAGS = (b"Exif\0", b"MPF\0")
#: Markers that begin an image: SOF0 to SOF15, but DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNK = struct.Struct(">I4s")

#: Bytes of a value, by the number that TIFF (6.0, and BigTIFF) gives its type.
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_STRIP_OFFSETS, _TILE_OFFSETS = 273, 324


class TooComplex(Exception):
    """The file asks for more work than any cell image does; the message says what of, for people."""


@dataclass(frozen=True)
class _Form:
    """How a TIFF writes its numbers: the formats of the first offset, of a directory's length and of one tag."""

    first: str
    count: str
    tag: str


_FORMS = {42: _Form("4xI", "H", "HHI4x"), 43: _Form("8xQ", "Q", "HHQ8x")}


def check_complexity(data: bytes) -> None:
    """Refuse a JPEG, PNG or TIFF that would keep a decoder busy for long; whether it is whole is not looked at.

    Args:
        data: the bytes of a file, of any kind.

    Raises:
        TooComplex: the file asks for more work than any cell image does.
    """
    if data.startswith(b"\xff\xd8"):
        _check_jpeg(data)
    elif data.startswith(_PNG):
        _check_png(data)
    elif data[:2] in {b"II", b"MM"}:
        _check_tags(data)


def _check_jpeg(data: bytes) -> None:
    if not _is_simple_jpeg(data):
        _check_segments(data)


def _is_simple_jpeg(data: bytes) -> bool:
    """Say whether a JPEG has few markers and a plain header, as an analyzer's has; that shows in a tenth of the time."""
    if data.count(b"\xff") > MOST_SEGMENTS or data.count(_SCANS) > MOST_SCANS:
        return False
    place, frames = 2, 0
    while data[place : place + 1] == b"\xff" and place + 4 <= len(data):
        marker = data[place + 1]
        if marker == _SCAN:
            return frames == 1
        if marker in _UNUSUAL or data.startswith(_WITH_TAGS, place + 4):
            return False
        frames += marker in _FRAMES
        place += 2 + (data[place + 2] << 8 | data[place + 3])
    return False


def _check_segments(data: bytes) -> None:
    scans = frames = junk = 0
    exif = []
    for segments, (marker, begin, end, skipped) in enumerate(_segments(data), start=1):
        scans += marker == _SCAN
        frames += marker in _FRAMES
        junk += skipped
        if scans > MOST_SCANS:
            raise TooComplex(f"it has more than {MOST_SCANS} scans")
        if segments > MOST_SEGMENTS:
            raise TooComplex(f"it has more than {MOST_SEGMENTS} segments")
        if junk > _MOST_JUNK:
            raise TooComplex("bytes that belong to nothing lie between its segments")
        if frames > 1:
            raise TooComplex("it has several frames")
        if marker == _EXIF and data.startswith(b"Exif\0", begin):
            exif.append(data[begin + 6 : end])
        elif marker == _APP2 and data.startswith(b"MPF\0", begin):
            _check_tags(data[begin + 4 : end])
    # Readers take several of them for one.
    _check_tags(b"".join(exif))


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield the marker, begin and end of each segment's content, and the number of bytes skipped before it."""
    place = 0
    form = _MARKER
    while found := form.search(data, place):
        marker = data[found.end() - 1]
        # What a scan is followed by are its codes; elsewhere nothing lies between two segments.
        skipped = 0 if form is _AFTER_SCAN else found.end() - 2 - place
        form = _AFTER_SCAN if marker == _SCAN else _MARKER
        begin = end = found.end()
        if marker not in _BARE and marker != _END:
            begin = found.end() + 2
            end = max(found.end() + int.from_bytes(data[found.end() : begin], "big"), begin)
        yield marker, begin, end, skipped
        if marker == _END:
            return
        place = end


def _check_png(data: bytes) -> None:
    place, chunks = len(_PNG), 0
    while place + _CHUNK.size <= len(data):
        size, name = _CHUNK.unpack_from(data, place)
        chunks += 1
        if chunks > MOST_CHUNKS:
            raise TooComplex(f"it has more than {MOST_CHUNKS} chunks")
        place += _CHUNK.size
        if name == b"eXIf":
            _check_tags(data[place : place + size].removeprefix(b"Exif\0\0"))
        place += size + 4


def _check_tags(data: bytes) -> None:
    """Refuse directories of tags (those of a TIFF, Exif's and an MPO's) that say the same bytes again and again."""
    if len(data) < 8:
        return
    order = ">" if data[:2] == b"MM" else "<"
    form = _FORMS.get(struct.unpack_from(f"{order}H", data, 2)[0])
    if form is None:
        return
    count, tag = struct.Struct(order + form.count), struct.Struct(order + form.tag)
    following = struct.Struct(order + form.first[-1])
    place = _number(struct.Struct(order + form.first), data, 0)
    directories = 0
    while 0 < place <= len(data) - count.size:
        directories += 1
        if directories > _MOST_DIRECTORIES:
            raise TooComplex(f"it has more than {_MOST_DIRECTORIES} directories of tags")
        tags = count.unpack_from(data, place)[0]
        # What a broken directory says beyond the end of the data, no reader reads.
        if min(tags, (len(data) - place - count.size) // tag.size) > _MOST_TAGS:
            raise TooComplex(f"one of its directories has more than {_MOST_TAGS} tags")
        begin = place + count.size
        end = begin + tags * tag.size
        _check_values(
            tag.iter_unpack(data[begin : min(end, begin + (len(data) - begin) // tag.size * tag.size)]), len(data)
        )
        place = _number(following, data, end)


def _check_values(tags: Iterator[tuple[int, int, int]], most: int) -> None:
    together = 0
    for name, kind, count in tags:
        together += _TYPE_BYTES.get(kind, 0) * count
        if together > most:
            raise TooComplex("its tags hold more than the whole file")
        if name in {_STRIP_OFFSETS, _TILE_OFFSETS} and count > MOST_PARTS:
            raise TooComplex(f"it has more than {MOST_PARTS} strips or tiles")


def _number(form: struct.Struct, data: bytes, place: int) -> int:
    return int(form.unpack_from(data, place)[0]) if place + form.size <= len(data) else 0
