"""Thumbnails for the gallery, made in memory and kept there as long as they fit."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum

from PIL import Image

from smearcount.db.queries.images import ImageFile
from smearcount.web.media.pictures import Picture, decoded, encoded, read_picture

#: Share of an image's side that a thumbnail shows, around the middle; the workers classify as much (256 of 360 px).
_SHOWN = 256 / 360

#: JPEG quality.
_QUALITY = 82


class Side(IntEnum):
    """How large a thumbnail can be, in pixels on a side: few sizes, so that few are made."""

    SMALL = 64
    USUAL = 96
    LARGE = 128
    LARGEST = 192


@dataclass(frozen=True)
class ThumbnailKey:
    """Names a thumbnail; an image's id stands for one version of one file, so its thumbnail never changes."""

    image_id: int
    side: Side


class Thumbnails:
    """Makes thumbnails and keeps those used last, up to a number of bytes."""

    def __init__(self, most_bytes: int = 32 * 1024 * 1024) -> None:
        """Start without any; keep at most `most_bytes` bytes of JPEGs."""
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[ThumbnailKey, Picture] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, key: ThumbnailKey) -> Picture | None:
        """Return a thumbnail that was made before, if it is still kept."""
        with self._lock:
            picture = self._kept.get(key)
            if picture is not None:
                self._kept.move_to_end(key)
            return picture

    def make(self, key: ThumbnailKey, file: ImageFile) -> Picture:
        """Make a thumbnail and keep it.

        Raises:
            Problem: see `read_picture`.
        """
        picture = thumbnail(read_picture(file), key.side)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = picture
                self._bytes += len(picture.content)
            while self._bytes > self._most_bytes:
                _, forgotten = self._kept.popitem(last=False)
                self._bytes -= len(forgotten.content)
        return picture


def thumbnail(picture: Picture, side: int) -> Picture:
    """Return the middle of an image, where the cell is, as a JPEG of `side` × `side` px.

    Raises:
        Problem: the image is damaged.
    """
    # Decoding a JPEG at half or a quarter of its size is several times faster and looks the same.
    whole = round(side / _SHOWN)
    with decoded(picture.content, at_least=(whole, whole)) as image:
        shown = min(image.size) * _SHOWN
        left, top = (image.width - shown) / 2, (image.height - shown) / 2
        small = image.convert("RGB").resize(
            (side, side), Image.Resampling.BICUBIC, box=(left, top, left + shown, top + shown)
        )
    return Picture(encoded(small, "JPEG", quality=_QUALITY), "image/jpeg", picture.sha256)
