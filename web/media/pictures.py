"""Cell images for the browser: the very file that was counted, read from inside its inbox and from nowhere else.

A file is asked for by the id of its row. What the file is called decides nothing: its type is told from its bytes.
"""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smearcount.db.queries.cells import ImageFile
from smearcount.inbox.paths import from_text
from smearcount.web.problems import Problem

#: The workers refuse larger ones; of those, nothing is shown either.
LARGEST_FILE = 8 * 1024 * 1024

#: Pixels on a side; a cell has 360, a file made to fill the memory has more.
_LONGEST_SIDE = 4096

#: File systems keep times to a nanosecond or to two seconds, and one share may show another precision per machine.
_TIME_PRECISION_NS = 2_000_000_000

#: How a file begins that a browser can show, and one that it cannot.
_BEGINNINGS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png", b"BM": "image/bmp"}
_TIFF = (b"II*\x00", b"MM\x00*")

_FORMATS = ("JPEG", "PNG", "BMP", "TIFF")


@dataclass(frozen=True)
class Picture:
    """An image as it is sent."""

    content: bytes
    media_type: str
    #: Tells one content from another; the SHA-256 of the file.
    sha256: str


def read_picture(file: ImageFile) -> Picture:
    """Return the image of a row, in a form that a browser can show.

    Raises:
        Problem: the file is gone, is another one now, leads out of the inbox, or is no image that can be shown.
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
    """Open an image; with `at_least`, a JPEG may be decoded smaller, but no smaller than this width and height.

    Raises:
        Problem: it is damaged, of an unknown kind, or too large to be a cell.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if max(image.size) > _LONGEST_SIDE:
                raise Problem("no-image", "the image is too large to be a cell")
            if at_least is not None:
                image.draft("RGB", at_least)
            image.load()
            yield image
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise Problem("no-image", "the image is damaged") from error


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    """Return an image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _read(file: ImageFile) -> bytes:
    root = os.path.realpath(from_text(file.root))
    try:
        real = os.path.realpath(Path(root) / from_text(file.path))
        if not Path(real).is_relative_to(root):
            raise Problem("image-gone", "a link in its place leads out of the inbox")
        descriptor = _open_beneath(root, os.path.relpath(real, root))
    except OSError as error:
        raise _gone(error) from None
    try:
        return _read_whole(descriptor, file)
    except OSError as error:
        raise _gone(error) from None
    finally:
        os.close(descriptor)


def _open_beneath(root: str, path: str) -> int:
    """Open a file below `root` without following any link: the path has been resolved, so one there now is a trick."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *folders, name = Path(path).parts
    try:
        for part in folders:
            within = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = within
        # Non-blocking: a pipe in the file's place must not hold a thread up.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)


def _read_whole(descriptor: int, file: ImageFile) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise Problem("image-gone", "something else than a file is in its place")
    if status.st_size > LARGEST_FILE:
        raise Problem("no-image", f"the file is larger than {LARGEST_FILE:,} bytes, so it is no cell image")
    with os.fdopen(descriptor, "rb", closefd=False) as opened:
        content = opened.read(LARGEST_FILE + 1)
    is_same_age = abs(status.st_mtime_ns - file.mtime_ns) <= _TIME_PRECISION_NS
    if len(content) != file.size or (file.sha256 is None and not is_same_age):
        raise _changed()
    return content


def _changed() -> Problem:
    return Problem("image-changed", "the file was overwritten after it was counted")


def _gone(error: OSError) -> Problem:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Problem("image-gone", "the file may not be read by the web server's user")
    return Problem("image-gone", "the file is not in the inbox, or the inbox cannot be reached from the web server")
