"""Out-of-distribution (OOD) scores: how far an image is from the training images, so that nothing else is counted.

The measure is the Mahalanobis distance from the nearest group of training images (Lee et al., NeurIPS 2018) in the
network's features, with one covariance for all groups, and the distances from each group in units of its own median. Measured on
the 8-class network of version 1 (256 features), with 0.5 % of the 2,561 validation cells over the limit: mean share caught,
in percent, of `models.evaluation.ood_probes` and, among "no cell", of photographs and of real fields of red cells.

| measure | mild | corrupted | no cell |
| --- | --- | --- | --- |
| confidence under 0.91 alone (costs 2.5 % of the cells) | 3.9 | 34 | 25 |
| energy of the logits (Liu et al. 2020) | 1.2 | 40 | 34 |
| Mahalanobis distance, shared covariance | 1.2 | 72 | 62 |
| relative Mahalanobis distance (Ren et al. 2021) | 1.1 | 71 | 62 |
| residual outside 64 principal axes (Wang et al. 2022), roots | 1.2 | 72 | 64 |
| distance to the 10th neighbour (Sun et al. 2022), roots | 1.3 | 64 | 61 |
| Mahalanobis distance, a covariance per group | 1.1 | 80 | 71 |
| Mahalanobis distance, shared covariance, in units of each group's median | 0.9 | 78 | 80 |

The units matter because the images of some groups vary less: without them, an empty field, which the network calls a
platelet, passes for one. 1 % noise in the features does not change the share of cells lost.

Which features: the last map has thrown away what no class needs, and red cells alone pass for platelets. Means over an earlier
map of version 2's network (weights from a third of its training, the same rule for the limit) tell more:

| map | mild | corrupted | no cell | red cells | smudges | 5 % darker |
| --- | --- | --- | --- | --- | --- | --- |
| stage 4, 384 channels | 0.6 | 50 | 84 | 16 | 33 | |
| stage 3, 224 channels | 0.5 | 64 | 94 | 67 | 70 | |
| stage 2, 96 channels: in use | 1.3 | 82 | 98 | 91 | 88 | 5 |
| stage 1, 48 channels | 4.0 | 88 | 92 | 51 | 58 | |
| stages 1 and 2 | 3.0 | 90 | 98 | 90 | 86 | 15 |

Measure and map were chosen, among some seventy variants, by these same figures on these same kinds, and the limit set on
these same validation cells: expect less of kinds not tried. `smearcount model evaluate` shows the shares of the model in use.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from smearcount.models.errors import ModelInvalid, ModelsError

Floats = npt.NDArray[np.floating]

#: The network's layer whose map gives the features: the end of the second stage, which sees colours, textures and grain,
#: and has not yet thrown away what no class needs.
OOD_LAYER = "stage2"

#: Added to every variance, as a share of their mean: a feature that hardly varied in training must not decide alone.
_SHRINKAGE = 0.01

#: Smallest number of images in a group; fewer do not show how far its images usually are from their mean.
_FEWEST = 10

#: Share of the validation cells that the limit may cost.
LIMIT_SHARE = 0.005

LIMIT_RULE = (
    f"the lowest multiple of 0.01 that at most {LIMIT_SHARE:.1%} of the validation images exceed with their unlikeness to "
    "the training images"
)

#: What to do about a file that cannot be used.
REMEDY = "restore the file from its release or export the model anew"


@dataclass(frozen=True, eq=False)
class OodModel:
    """What the features of the training images are like; d is the number of features, g of groups.

    A group is the images of one output of the network. Every group has its own mean; all share one covariance.
    """

    #: Matrix that turns the square roots of features into numbers that are uncorrelated and have a standard deviation of 1
    #: within a group: float32, shape (d, d).
    whitening: npt.NDArray[np.float32]
    #: Mean of each group after `whitening`: float32, shape (g, d).
    means: npt.NDArray[np.float32]
    #: Median distance of each group's training images from their mean: float32, shape (g,).
    typical: npt.NDArray[np.float32]

    def scores(self, features: Floats) -> npt.NDArray[np.float64]:
        """Return the OOD scores of n >= 0 images: the distance from the nearest group in units of its typical distance.

        score(x) = min over groups g of |sqrt(x) W - mean_g| / typical_g, where W is the whitening matrix.

        Args:
            features: shape (n, d), as the network returns them; a value under 0 counts as 0.

        Returns:
            float64, shape (n,), 0 or more, to six decimals; about 1 for an image like the training images.
        """
        nearest: npt.NDArray[np.float64] = self.distances(features).min(axis=1)
        return nearest

    def distances(self, features: Floats) -> npt.NDArray[np.float64]:
        """Return the distances of n >= 0 images from every group in units of its typical distance: float64, shape (n, g).

        Args:
            features: shape (n, d), as for `scores`.

        Returns:
            0 or more, to six decimals; about 1 for an image of the group that is like the training images.
        """
        points = (_roots(features) @ self.whitening).astype(np.float64)
        # |p - m|^2 = |p|^2 - 2 p m + |m|^2 takes one product of matrices for all groups.
        means = self.means.astype(np.float64)
        squares = (points**2).sum(axis=1, keepdims=True) - 2 * points @ means.T + (means**2).sum(axis=1)
        distances: npt.NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0)) / self.typical
        # A product of matrices depends in its last digits on how many rows it has; an image's result must not.
        return distances.round(6)

    @property
    def width(self) -> int:
        """Number of features, d."""
        return len(self.whitening)

    def to_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return what a likeness file stores."""
        return {"whitening": self.whitening, "means": self.means, "typical": self.typical}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Read what `to_arrays` has returned; other arrays are passed over.

        Raises:
            ModelInvalid: an array is missing, or they do not fit each other.
        """
        try:
            own = {name: arrays[name] for name in ("whitening", "means", "typical")}
        except KeyError as error:
            raise ModelInvalid(f"the training images' likeness lacks {error}; {REMEDY}") from None
        _check(own)
        return cls(**own)

    def to_bytes(self) -> bytes:
        """Return the content of an .npz file; the same model always gives the same bytes."""
        return stored(self.to_arrays())

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` has written, without executing anything in it.

        Raises:
            ModelInvalid: the bytes are something else, or damaged.
        """
        return cls.from_arrays(read_arrays(content))


def stored(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the content of an .npz file that holds the arrays; the same arrays always give the same bytes."""
    stream = BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def read_arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an .npz file, without executing anything in it.

    Raises:
        ModelInvalid: the bytes are something else, or damaged.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            # numpy may stop reading before the end of an array, where its checksum is compared
            damaged = archive.testzip()
        with np.load(BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelInvalid(f"the training images' likeness cannot be read ({error}); {REMEDY}") from None
    if damaged is not None:
        raise ModelInvalid(f"the training images' likeness is damaged in {damaged}; {REMEDY}")
    return arrays


def fit_ood_model(features: Floats, groups: npt.NDArray[np.integer]) -> OodModel:
    """Fit the OOD model to the training images.

    Args:
        features: of the training images, not augmented: shape (n, d), finite.
        groups: the output of the network that each of them belongs to: shape (n,), whole numbers.

    Raises:
        ModelsError: the shapes do not fit, a feature is not finite, or a group has fewer than 10 images.
    """
    if features.ndim != 2 or groups.shape != features.shape[:1] or not np.isfinite(features).all():
        raise ModelsError(
            f"features of shape {features.shape} and groups of shape {groups.shape} must be finite and of one length"
        )
    names, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if not len(names) or sizes.min() < _FEWEST:
        raise ModelsError(f"every group needs at least {_FEWEST} images; leave the smaller ones out or merge them")
    points = _roots(features)
    means = np.stack([points[group == index].mean(axis=0) for index in range(len(names))])
    variances, axes = np.linalg.eigh(
        np.cov(points - means[group], rowvar=False, bias=True).reshape(2 * points.shape[1:])
    )
    # rounding can leave a variance a little under 0; one that is 0 throughout must not divide
    variances = np.maximum(variances, 0.0) + max(_SHRINKAGE * variances.mean(), 1e-12)
    whitening = (axes / np.sqrt(variances)).astype(np.float32)
    means = (means @ whitening).astype(np.float32)
    distances = np.linalg.norm(points @ whitening - means[group], axis=1)
    typical = np.array([np.median(distances[group == index]) for index in range(len(names))])
    if not typical.all():
        raise ModelsError("the images of a group all have the same features; they cannot be training images")
    return OodModel(whitening, means, typical.astype(np.float32))


def choose_limit(ood_scores: Floats, share: float = LIMIT_SHARE) -> float:
    """Return the OOD score above which a cell is unidentified, by `LIMIT_RULE`.

    Args:
        ood_scores: of n >= 1 validation images: shape (n,).
        share: of the images that may lie over the limit, 0-1.
    """
    ranked = np.sort(ood_scores)[::-1]
    # rounding must not make 0.005 * 1000 a 4
    bearable = int(share * len(ranked) + 1e-9)
    if bearable >= len(ranked):
        return 0.0
    limit = np.ceil(ranked[bearable] * 100) / 100
    return float(limit)


def _roots(features: Floats) -> npt.NDArray[np.float64]:
    """Return the square roots, which vary about equally: features are means of what is never negative."""
    return np.sqrt(np.maximum(features, 0.0), dtype=np.float64)


def _check(arrays: dict[str, npt.NDArray[np.float32]]) -> None:
    """Refuse arrays that do not fit each other or hold numbers that nothing can be compared with."""
    whitening, means, typical = arrays["whitening"], arrays["means"], arrays["typical"]
    shapes = [array.shape for array in arrays.values()]
    d, g = whitening.shape[:1], typical.shape[:1]
    if 0 in (*d, *g) or shapes != [d + d, g + d, g] or any(array.dtype != np.float32 for array in arrays.values()):
        raise ModelInvalid(
            f"the training images' likeness holds {whitening.dtype} arrays of shapes {shapes}, not float32 of "
            f"(d, d), (g, d), (g,); {REMEDY}"
        )
    if not all(np.isfinite(array).all() for array in (whitening, means, typical)) or not (typical > 0).all():
        raise ModelInvalid(f"the training images' likeness holds numbers that are not finite; {REMEDY}")
