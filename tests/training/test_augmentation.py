"""Random stains, lights and cameras: each change does what it says and nothing else."""

import io
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from PIL import Image

from smearcount.models.augmentation.augmentation import MARGIN_SIDE, augment
from smearcount.models.augmentation.gallery import CHANGES
from smearcount.models.augmentation.stains import WIDE, StainLimits, exchange_surroundings, restain

from support.running import Smearcount
from support.working import cell_image

# TensorFlow and Keras warn about themselves
pytestmark = pytest.mark.filterwarnings("ignore")

SEED = tf.constant([3, 7], tf.int32)
SIDE = 32

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def images() -> Floats:
    """Eight smooth images without pure black or white, so that nothing is clipped by a small change."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(60, 200, (8, 4, 4, 3)).astype(np.uint8)
    smooth = [Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for one in coarse]
    return np.stack([np.asarray(one, np.float32) for one in smooth])


def changed(images: Floats, **limits: Any) -> Floats:
    return np.asarray(restain(tf.constant(images), SEED, StainLimits(**limits)))


def density(images: Floats) -> Floats:
    return -np.log((images + 1) / 256)


def test_without_limits_nothing_changes(images: Floats) -> None:
    assert changed(images) == pytest.approx(images, abs=0.01)


@pytest.mark.parametrize("field", [field.name for field in fields(StainLimits) if field.name != "focus"])
def test_each_change_alone_changes_images_and_is_decided_by_the_seed(images: Floats, field: str) -> None:
    limits: dict[str, Any] = {field: 1.0 if field.endswith("share") else getattr(WIDE, field)}
    one = changed(images, **limits)

    assert np.abs(one - images).max() > 1.5
    assert one.min() >= 0
    assert one.max() <= 255
    assert (one == changed(images, **limits)).all()
    other = np.asarray(restain(tf.constant(images), SEED + 1, StainLimits(**limits)))
    assert np.abs(one - other).max() > 1


def test_concentration_multiplies_the_optical_density_of_an_image(images: Floats) -> None:
    factors = density(changed(images, concentration=0.4)) / density(images)

    of_image = factors.mean(axis=(1, 2, 3), keepdims=True)
    assert factors == pytest.approx(np.broadcast_to(of_image, factors.shape), rel=0.01)
    assert np.log(of_image).max() < 0.4
    assert np.log(of_image).min() > -0.4
    assert np.ptp(of_image) > 0.1


def test_background_adds_the_same_optical_density_everywhere(images: Floats) -> None:
    added = density(changed(images, background=(0.0, 0.3))) - density(images)

    of_channel = added.mean(axis=(1, 2), keepdims=True)
    assert added == pytest.approx(np.broadcast_to(of_channel, added.shape), abs=0.005)
    assert of_channel.min() > -0.001
    assert of_channel.max() < 0.3


def test_the_light_is_uneven_about_the_middle(images: Floats) -> None:
    added = density(changed(images, gradient=0.15)) - density(images)

    assert added.mean(axis=(1, 2)) == pytest.approx(0, abs=0.005)
    assert added == pytest.approx(-added[:, ::-1, ::-1], abs=0.01)


def test_a_turn_of_the_hue_keeps_grey_and_brightness(images: Floats) -> None:
    grey = np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1)

    assert changed(grey, hue=0.5) == pytest.approx(grey, abs=0.01)
    assert changed(images, hue=0.3).mean(axis=-1) == pytest.approx(images.mean(axis=-1), abs=0.01)


def test_little_colour_goes_towards_grey(images: Floats) -> None:
    colours = np.ptp(images, axis=-1).mean(axis=(1, 2))
    assert (np.ptp(changed(images, pale_share=1.0), axis=-1).mean(axis=(1, 2)) < colours).all()


def test_the_centre_keeps_its_own_surroundings_in_most_images(images: Floats) -> None:
    many = np.tile(images, (25, 1, 1, 1))
    result = np.asarray(exchange_surroundings(tf.constant(many), SEED))

    middle = slice(SIDE // 2 - 4, SIDE // 2 + 4)
    assert (result[:, middle, middle] == many[:, middle, middle]).all()
    share = float((result != many).any(axis=(1, 2, 3)).mean())
    assert 0.15 < share < 0.35
    corners = result[:, 0, 0]
    borrowed = (corners != many[:, 0, 0]).any(axis=-1)
    assert corners[borrowed] == pytest.approx(np.roll(many, 1, axis=0)[borrowed, 0, 0], abs=0.01)


def test_a_black_and_a_white_image_stay_finite() -> None:
    extremes = np.stack([np.full((MARGIN_SIDE, MARGIN_SIDE, 3), level, np.uint8) for level in (0, 255)])
    for seed in range(5):
        result = np.asarray(augment(tf.constant(np.repeat(extremes, 8, axis=0)), tf.constant([seed, 0]), 64, 128))
        assert result.shape == (16, 64, 64, 3)
        assert np.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 255


def test_the_gallery_shows_every_change(tmp_path: Path) -> None:
    cell, sheet = tmp_path / "cell.jpg", tmp_path / "sheet.jpg"
    cell.write_bytes(cell_image())

    result = Smearcount(tmp_path / "data").call("model", "augmentations", str(cell), str(sheet))

    assert result.returncode == 0, result.stderr
    with Image.open(io.BytesIO(sheet.read_bytes())) as picture:
        assert picture.height == (len(CHANGES) + 4) * 132
    shown = {
        name for _, limits in CHANGES for name, value in vars(limits).items() if value != getattr(StainLimits(), name)
    }
    assert shown == {field.name for field in fields(StainLimits)} - {"focus"}
