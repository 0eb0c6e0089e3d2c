"""A pool of real labelled cells, from which the slides of a simulated export are made."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smearcount.cli.simulation.errors import SimulationError
from smearcount.differential.classes import CellClass
from smearcount.models.evaluation.dataset import LabelledFile, labelled_files


class CellPool:
    """Hands out the distinct images of a tree of class folders, shuffled per class; begins again after the last one.

    No two images of one slide have the same bytes: a slide that needs more images of a class than there are is refused.
    """

    def __init__(self, tree: Path, rng: np.random.Generator) -> None:
        """List and shuffle the images of `tree`.

        Raises:
            ModelsError: The tree is missing, or has no class folder with images.
            SimulationError: An image cannot be read.
        """
        self._tree = tree
        self._files: dict[CellClass, list[Path]] = {label: [] for label in CellClass}
        self._next: Counter[CellClass] = Counter()
        for file in _distinct(labelled_files(tree)):
            self._files[file.label].append(file.path)
        for files in self._files.values():
            order = rng.permutation(len(files))
            files[:] = [files[index] for index in order]

    def hand_out(self, classes: Sequence[CellClass]) -> list[Path]:
        """Return an image for each cell of one slide.

        Raises:
            SimulationError: The slide needs more images of a class than there are.
        """
        for label, needed in Counter(classes).items():
            there = len(self._files[label])
            if needed > there:
                raise SimulationError(
                    f"a slide needs {needed} {label} cells but {self._tree / label} holds {there} distinct images; "
                    f"ask for fewer cells or a smaller share of {label}"
                )
        return [self._take(label) for label in classes]

    def _take(self, label: CellClass) -> Path:
        files = self._files[label]
        path = files[self._next[label] % len(files)]
        self._next[label] += 1
        return path


def _distinct(files: Sequence[LabelledFile]) -> list[LabelledFile]:
    """Return the files without those that have the same bytes as an earlier one, of any class."""
    try:
        sizes = [file.path.stat().st_size for file in files]
        alike = Counter(sizes)
        seen: set[bytes] = set()
        distinct: list[LabelledFile] = []
        for file, size in zip(files, sizes, strict=True):
            if alike[size] > 1:  # Only files of equal size can have the same bytes; no other file is read.
                digest = hashlib.sha256(file.path.read_bytes()).digest()
                if digest in seen:
                    continue
                seen.add(digest)
            distinct.append(file)
    except OSError as error:
        raise SimulationError(f"cannot read {error.filename}: {error.strerror}") from error
    return distinct
