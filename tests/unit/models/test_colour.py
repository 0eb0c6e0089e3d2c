"""The mean colour of cell images."""

import numpy as np
import pytest

from smearcount.models.inference.colour import mean_colours


def test_each_image_has_its_own_colour() -> None:
    pixels = np.zeros((2, 128, 128, 3), np.uint8)
    pixels[0] = (200, 150, 100)
    pixels[1, :64] = (255, 0, 10)

    assert mean_colours(pixels).tolist() == [[200, 150, 100], [127.5, 0, 5]]


def test_no_images_have_no_colours() -> None:
    assert mean_colours(np.zeros((0, 128, 128, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_pixel_is_in_the_mean(seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 128, 128, 3), np.uint8)

    assert np.abs(mean_colours(pixels) - pixels.mean(axis=(1, 2))).max() <= 0.005


def test_the_sums_of_white_images_do_not_overflow() -> None:
    assert mean_colours(np.full((1, 128, 128, 3), 255, np.uint8)).tolist() == [[255, 255, 255]]
