"""The images of a run, and a thread that drops them into the inbox as steadily as an analyzer exports."""

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faults.background import Background
from support.exports import cell_bytes

CELLS_PER_SLIDE = 100


@dataclass(frozen=True)
class CellFile:
    """A file to drop: its path within the inbox, and its content."""

    path: str
    #: An existing file with this content; None if there is none.
    original: Path | None
    data: Callable[[], bytes]

    def drop(self, inbox: Path) -> None:
        """Put it into the inbox, as a link where both are on one disk."""
        target = inbox / self.path
        target.parent.mkdir(exist_ok=True)
        if self.original is None:
            target.write_bytes(self.data())
            return
        try:
            os.link(self.original, target)
        except OSError:
            shutil.copyfile(self.original, target)


def real_images() -> Path | None:
    """Return the folder of real cell images, or None where there is none."""
    beside = Path(__file__).parents[3] / "shared" / "pbc"
    folder = Path(os.environ.get("SMEARCOUNT_TEST_IMAGES") or beside)
    return folder if (folder / "val").is_dir() else None


def choose(images: int, seed: int) -> list[CellFile]:
    """Return so many files of different bytes, slide after slide: real images if there are any, drawn cells otherwise."""
    folder = real_images()
    originals = _different(folder, images, seed) if folder else []
    files = []
    for number in range(images):
        path = f"S{number // CELLS_PER_SLIDE:03}/cell-{number % CELLS_PER_SLIDE:04}.jpg"
        if number < len(originals):
            files.append(CellFile(path, originals[number], originals[number].read_bytes))
        elif originals:
            files.append(CellFile(path, None, partial(_lengthened, originals[number % len(originals)], number)))
        else:
            files.append(CellFile(path, None, partial(cell_bytes, number)))
    return files


def _different(folder: Path, images: int, seed: int) -> list[Path]:
    found = sorted(folder.rglob("*.jpg"))
    random.Random(seed).shuffle(found)
    different: dict[bytes, Path] = {}
    for path in found:
        different.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
        if len(different) == images:
            break
    return list(different.values())


def _lengthened(original: Path, number: int) -> bytes:
    # Every decoder ignores what follows the end-of-image marker.
    return original.read_bytes() + number.to_bytes(8, "big")


class Dropping(Background):
    """Drops files at a steady rate in the background: `with Dropping(...) as dropping:`."""

    def __init__(self, files: Sequence[CellFile], inbox: Path, *, per_second: float) -> None:
        """Prepare; nothing is dropped yet."""
        super().__init__()
        self._files = files
        self._inbox = inbox
        self._rate = per_second
        #: Number of files dropped so far.
        self.dropped = 0

    @property
    def seconds(self) -> float:
        """Duration of the whole stream."""
        return len(self._files) / self._rate

    def is_done(self) -> bool:
        """Tell whether all files are in the inbox.

        Raises:
            OSError: A file could not be dropped.
        """
        self.check()
        return self.dropped == len(self._files)

    def _go_on(self) -> None:
        began_at = time.monotonic()
        for number, file in enumerate(self._files):
            ahead = number / self._rate - (time.monotonic() - began_at)
            if self._ending.wait(ahead) if ahead > 0 else self._ending.is_set():
                return
            file.drop(self._inbox)
            self.dropped = number + 1
