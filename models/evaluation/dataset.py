"""Labelled cells on disk: a folder that holds one folder of images per class."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smearcount.differential.classes import CellClass
from smearcount.inbox.ignoring import IMAGE_ENDINGS
from smearcount.models.errors import ImageRefused, ModelsError
from smearcount.models.preprocessing import Pixels

IMAGE_SUFFIXES = frozenset(IMAGE_ENDINGS)


@dataclass(frozen=True)
class LabelledFile:
    """One image file and the class of the folder it lies in."""

    path: Path
    label: CellClass


def labelled_files(tree: Path) -> list[LabelledFile]:
    """List the images of `tree`, which holds one folder per class, sorted by class and name.

    Raises:
        ModelsError: the folder is missing, or none of its folders is named like a class.
    """
    if not tree.is_dir():
        raise ModelsError(f"{tree} is no folder; give a folder that holds one folder of images per class")
    files = [
        LabelledFile(path, label)
        for label in CellClass
        for path in sorted((tree / label).glob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not files:
        raise ModelsError(f"{tree} holds no images in folders named {', '.join(CellClass)}")
    return files


def load_pixels(
    files: Sequence[LabelledFile], decode: Callable[[bytes], Pixels], *, threads: int = 4
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Decode all of n >= 1 files.

    Args:
        files: the files.
        decode: makes an image of shape (side, side, 3) of a file's content; called on several threads at once.
        threads: how many.

    Returns:
        Images, uint8, shape (n, side, side, 3), RGB, 0-255; and labels, int64, shape (n,), as indices of CellClass.

    Raises:
        ImageRefused: one of the files cannot be used; the message names it.
        OSError: one of the files cannot be read.
    """

    def load(file: LabelledFile) -> Pixels:
        try:
            return decode(file.path.read_bytes())
        except ImageRefused as refusal:
            raise ImageRefused(refusal.code, f"{file.path}: {refusal}") from None

    with ThreadPoolExecutor(threads) as pool:
        images = np.stack(list(pool.map(load, files)))
    return images, label_indices(files)


def label_indices(files: Sequence[LabelledFile]) -> npt.NDArray[np.int64]:
    """Return the labels of n files as indices of CellClass: int64, shape (n,)."""
    order = list(CellClass)
    return np.array([order.index(file.label) for file in files], dtype=np.int64)
