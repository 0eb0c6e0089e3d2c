"""Ways to spoil an image file: at random, and where its format keeps lengths, sizes and tables."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence

from fuzzing.bombs import all_bombs

#: Numbers at which decoders go wrong: none, one, the largest, and those about the sign bits.
_TELLING = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

#: Half of the changes hit the first bytes, where the headers are.
_HEADER_BYTES = 700

#: Number of changes to one file: mostly few, since the decoder refuses most files with many.
_HOW_OFTEN = (1, 1, 1, 2, 2, 3, 5, 8)

#: A bomb is a thousand times as large as an original, and takes as long to spoil.
_SHARE_BOMBS = 0.01

#: No file of the others grows beyond this: the reader refuses larger files unread, and other tests show that.
_LARGEST = 256 * 1024


def mutated(rng: random.Random, files: Sequence[bytes]) -> bytes:
    """Return one of the files with one change or several, or, now and then, one of the bombs with a few."""
    if rng.random() < _SHARE_BOMBS:
        return _spoiled_bomb(rng)
    data = bytearray(rng.choice(files))
    for _ in range(rng.choice(_HOW_OFTEN)):
        rng.choice(_WAYS)(rng, data)
    if rng.random() < 0.1:
        other = rng.choice(files)
        data = data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]
    if data.startswith(b"\x89PNG") and rng.random() < 0.8:
        _mend_png(data)
    return bytes(data[:_LARGEST])


def _spoiled_bomb(rng: random.Random) -> bytes:
    """Return a bomb with a few bytes changed, so that the decoder may take it for another one, or for none."""
    data = bytearray(rng.choice([*all_bombs().values()]))
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        rng.choice((_flip_bit, _set_byte, _set_number))(rng, data)
    if data.startswith(b"\x89PNG") and rng.random() < 0.5:
        _mend_png(data)
    return bytes(data)


def _place(rng: random.Random, data: bytearray) -> int:
    reach = min(len(data), _HEADER_BYTES) if rng.random() < 0.5 else len(data)
    return rng.randrange(reach) if reach else 0


def _flip_bit(rng: random.Random, data: bytearray) -> None:
    if data:
        data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _set_byte(rng: random.Random, data: bytearray) -> None:
    if data:
        data[_place(rng, data)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _set_number(rng: random.Random, data: bytearray) -> None:
    kind = rng.choice((">H", "<H", ">I", "<I"))
    size = struct.calcsize(kind)
    place = _place(rng, data)
    data[place : place + size] = struct.pack(kind, rng.choice(_TELLING) & (256**size - 1))


def _cut_out(rng: random.Random, data: bytearray) -> None:
    place = _place(rng, data)
    del data[place : place + rng.choice((1, 2, 16, 300))]


def _cut_off(rng: random.Random, data: bytearray) -> None:
    del data[_place(rng, data) :]


def _repeat(rng: random.Random, data: bytearray) -> None:
    place = _place(rng, data)
    data[place:place] = data[place : place + rng.choice((2, 20, 600))] * rng.choice((1, 2, 30))


def _insert(rng: random.Random, data: bytearray) -> None:
    place = _place(rng, data)
    data[place:place] = rng.randbytes(rng.choice((1, 2, 16, 300)))


def _blank(rng: random.Random, data: bytearray) -> None:
    place, size = _place(rng, data), rng.choice((4, 64, 1000))
    size = min(size, len(data) - place)
    data[place : place + size] = bytes([rng.choice((0, 0xFF))]) * size


def _spoil_jpeg_segment(rng: random.Random, data: bytearray) -> None:
    """Change, drop, repeat or move a whole segment of a JPEG, or lie about its length."""
    segments = _jpeg_segments(data)
    if not segments:
        _flip_bit(rng, data)
        return
    start, end = rng.choice(segments)
    segment = bytes(data[start:end])
    what = rng.randrange(5)
    if what == 0:
        data[start + 2 : start + 4] = struct.pack(">H", rng.choice(_TELLING) & 0xFFFF)
    elif what == 1:
        del data[start:end]
    elif what == 2:
        data[end:end] = segment * rng.choice((1, 40))
    elif what == 3:
        del data[start:end]
        target = rng.choice(segments)[0]
        data[target:target] = segment
    else:
        data[start + 1] = rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xCA, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE))


def _jpeg_segments(data: bytearray) -> list[tuple[int, int]]:
    """Return begin and end of each segment before the first scan's data; none if this is no JPEG."""
    found = []
    place = 2
    while data.startswith(b"\xff\xd8") and place + 4 <= len(data) and data[place] == 0xFF:
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        found.append((place, min(end, len(data))))
        if data[place + 1] == 0xDA:
            break
        place = end
    return found


def _mend_png(data: bytearray) -> None:
    """Correct the checksums of all chunks that can be found, so that the decoder reads on."""
    place = 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + size
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4


_WAYS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    _flip_bit, _set_byte, _set_number, _set_number, _cut_out, _cut_off, _repeat, _insert, _blank, _spoil_jpeg_segment,
    _spoil_jpeg_segment,
)  # fmt: skip
