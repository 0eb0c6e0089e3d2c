"""Drawn cells look, in the measures taken here, like those of their class and like no other."""

import time

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from smearcount.cli.simulation.drawing import draw_cell
from smearcount.differential.classes import CellClass


def pixels(image: Image.Image) -> npt.NDArray[np.float64]:
    return np.asarray(image).astype(np.float64)


def from_centre() -> npt.NDArray[np.float64]:
    y, x = np.mgrid[:363, :360]
    distances: npt.NDArray[np.float64] = np.hypot(x - 179.5, y - 181)
    return distances


@pytest.fixture(scope="module")
def drawn() -> dict[CellClass, list[npt.NDArray[np.float64]]]:
    return {
        label: [pixels(draw_cell(label, np.random.default_rng((7, seed)))) for seed in range(6)] for label in CellClass
    }


def dark_area(image: npt.NDArray[np.float64]) -> float:
    """Count the pixels near the centre that only chromatin or granules are dark enough for."""
    return float(((image[..., 1] < 100) & (from_centre() < 95)).sum())


@pytest.mark.parametrize("label", CellClass)
def test_an_image_has_the_size_and_the_colours_of_an_export(label: CellClass) -> None:
    image = draw_cell(label, np.random.default_rng(1))
    assert image.size == (360, 363)
    assert image.mode == "RGB"


@pytest.mark.parametrize("label", CellClass)
def test_the_same_random_numbers_draw_the_same_pixels(label: CellClass) -> None:
    assert draw_cell(label, np.random.default_rng(3)).tobytes() == draw_cell(label, np.random.default_rng(3)).tobytes()
    assert draw_cell(label, np.random.default_rng(3)).tobytes() != draw_cell(label, np.random.default_rng(4)).tobytes()


@pytest.mark.slow
@pytest.mark.parametrize("label", CellClass)
def test_any_random_numbers_draw_an_image(label: CellClass) -> None:
    for seed in range(10):
        image = pixels(draw_cell(label, np.random.default_rng((11, seed))))
        # The cell in the centre is the darkest thing there; something must be bright around it.
        assert image[from_centre() < 30, 1].min() < 110
        assert np.percentile(image[..., 1], 95) > 200


@pytest.mark.slow
def test_classes_differ_in_how_much_of_them_is_dark(drawn: dict[CellClass, list[npt.NDArray[np.float64]]]) -> None:
    area = {label: np.median([dark_area(image) for image in images]) for label, images in drawn.items()}
    assert area[CellClass.PLATELET] < area[CellClass.ERYTHROBLAST] < area[CellClass.LYMPHOCYTE]
    assert area[CellClass.NEUTROPHIL] < area[CellClass.LYMPHOCYTE] < area[CellClass.BASOPHIL]


def test_eosinophils_are_the_reddest(drawn: dict[CellClass, list[npt.NDArray[np.float64]]]) -> None:
    def redness(image: npt.NDArray[np.float64]) -> float:
        body = image[from_centre() < 50]
        return float(((body[:, 0] - body[:, 2] > 20) & (body[:, 1] < 140)).mean())

    share = {label: np.median([redness(image) for image in images]) for label, images in drawn.items()}
    assert max(share, key=lambda label: share[label]) is CellClass.EOSINOPHIL
    assert share[CellClass.EOSINOPHIL] > 0.1


def test_an_image_is_drawn_fast_enough_for_a_demonstration() -> None:
    rng = np.random.default_rng(0)
    started = time.process_time()
    for label in CellClass:
        for _ in range(3):
            draw_cell(label, rng)
    # About 20 ms on one core of a bench PC; the bound is loose because test machines are shared.
    assert (time.process_time() - started) / (3 * len(CellClass)) < 0.15
