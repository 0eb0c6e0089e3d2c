"""Cell images for the browser: exactly the file that was counted.

The browser asks for a file by the id of its row. The bytes of the file, not its name, decide about its type.
"""

import errno
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from smearcount.db.queries.images import ImageFile
from smearcount.inbox.complexity import TooComplex, check_complexity
from smearcount.inbox.paths import from_text
from smearcount.inbox.reading import (
    ANY_TIME,
    LARGEST_FILE,
    SHARED_TIME_PRECISION_NS,
    LeavesInbox,
    NotAFile,
    OtherVersion,
    TooLarge,
    read_version,
)
from smearcount.inbox.versions import FileVersion
from smearcount.web.problems import Problem

#: Side and number of pixels of an image of which a small picture is made: a whole field of view is shown as well, a hundred of
#: them are not.
_LONGEST_SIDE, _MOST_PIXELS = 4096, 8_000_000

#: The first bytes of files that a browser can show, and of those that it cannot.
_BEGINNINGS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"BM": "image/bmp"}
_TIFF = (b"II*\x00", b"MM\x00*")

_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")


@dataclass(frozen=True)
class Picture:
    """An image in the form in which it is sent."""

    content: bytes
    media_type: str
    #: SHA-256 of the file.
    sha256: str


def read_picture(file: ImageFile) -> Picture:
    """Return the image of a row, in a form that a browser can show.

    Raises:
        Problem: the file is gone, was overwritten, leads out of the inbox, or is no image that can be shown.
    """
    content = _read(file)
    sha256 = hashlib.sha256(content).hexdigest()
    if file.sha256 is not None and sha256 != file.sha256:
        raise _changed()
    media_type = next((kind for start, kind in _BEGINNINGS.items() if content.startswith(start)), None)
    if media_type is not None:
        return Picture(content, media_type, sha256)
    if content.startswith(_TIFF):
        with decoded(content) as image:
            return Picture(encoded(image.convert("RGB"), "PNG"), "image/png", sha256)
    raise Problem("no-image", "the file's bytes are those of no image; its reason says what it was quarantined for")


@contextmanager
def decoded(content: bytes, *, at_least: tuple[int, int] | None = None) -> Iterator[Image.Image]:
    """Open and decode an image.

    Args:
        content: the bytes of the file.
        at_least: a JPEG may be decoded smaller than it is, but not smaller than this width and height in pixels.

    Raises:
        Problem: the image is damaged, of an unknown kind, or too large or too complex to be a cell.
    """
    try:
        check_complexity(content)
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if max(image.size) > _LONGEST_SIDE or image.width * image.height > _MOST_PIXELS:
                raise Problem("no-image", "the image is too large to be a cell")
            if at_least is not None:
                image.draft("RGB", at_least)
            image.load()
            yield image
    except TooComplex as error:
        raise Problem("no-image", f"{error}, which no cell image has") from None
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise Problem("no-image", "the image is damaged") from error


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    """Return an image as the bytes of a file of this kind, with the options of Pillow's `save`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _read(file: ImageFile) -> bytes:
    # A file that was read once is recognised by its SHA-256, whatever its time is here.
    precision = SHARED_TIME_PRECISION_NS if file.sha256 is None else ANY_TIME
    version = FileVersion(file.size, file.mtime_ns)
    try:
        return read_version(from_text(file.root), from_text(file.path), version, time_precision_ns=precision)
    except LeavesInbox:
        raise Problem("image-gone", "a link in its place leads out of the inbox") from None
    except NotAFile:
        raise Problem("image-gone", "something else than a file is in its place") from None
    except TooLarge:
        raise _too_large() from None
    except OtherVersion as other:
        raise (_too_large() if other.size > LARGEST_FILE else _changed()) from None
    except OSError as error:
        raise _gone(error) from None


def _too_large() -> Problem:
    return Problem("no-image", f"the file is larger than {LARGEST_FILE:,} bytes, so it is no cell image")


def _changed() -> Problem:
    return Problem("image-changed", "the file was overwritten after it was counted")


def _gone(error: OSError) -> Problem:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Problem("image-gone", "the file may not be read by the web server's user")
    return Problem("image-gone", "the file is not in the inbox, or the inbox cannot be reached from the web server")
