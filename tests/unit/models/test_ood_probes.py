"""Every out-of-distribution probe is made as promised: of the same shape, again the same for a seed, from images left alone."""

import numpy as np
import pytest

from smearcount.models.evaluation.ood_probes import PROBES, Probe
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import Pixels

EACH_PROBE = pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
BACKGROUND, NUCLEUS = (250, 225, 205), (90, 40, 130)


@pytest.fixture
def batch() -> Pixels:
    """Three cells: a dark disc off the centre of a pale, slightly uneven field with a red cell in each corner."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:INPUT_SIDE, :INPUT_SIDE]
    images = np.empty((3, INPUT_SIDE, INPUT_SIDE, 3), np.uint8)
    for number, image in enumerate(images):
        image[:] = BACKGROUND
        image[np.minimum(x, 127 - x) ** 2 + np.minimum(y, 127 - y) ** 2 < 24**2] = (215, 170, 165)
        image[(x - 60) ** 2 + (y - 70) ** 2 < (20 + 4 * number) ** 2] = NUCLEUS
    images -= rng.integers(0, 6, images.shape, dtype=np.uint8)
    return images


def named(name: str) -> Probe:
    return next(probe for probe in PROBES if probe.name == name)


def made(name: str, batch: Pixels, seed: int = 0) -> Pixels:
    return named(name).make(batch, np.random.default_rng(seed))


def distance(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def test_every_family_has_kinds_of_different_names() -> None:
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    assert {probe.family for probe in PROBES} == {"mild", "corrupted", "no cell"}


@EACH_PROBE
def test_a_probe_makes_as_many_images_of_the_same_shape(probe: Probe, batch: Pixels) -> None:
    for images in (batch, batch[:1]):
        changed = probe.make(images, np.random.default_rng(0))
        assert changed.dtype == np.uint8
        assert changed.shape == images.shape


@EACH_PROBE
def test_a_probe_changes_every_image_but_not_its_input(probe: Probe, batch: Pixels) -> None:
    before = batch.copy()
    batch.flags.writeable = False
    changed = probe.make(batch, np.random.default_rng(0))
    assert all((one != image).any() for one, image in zip(changed, before, strict=True))
    assert not np.shares_memory(changed, batch)
    assert (batch == before).all()


@EACH_PROBE
def test_a_probe_is_the_same_for_the_same_seed(probe: Probe, batch: Pixels) -> None:
    one, again = (probe.make(batch, np.random.default_rng(7)) for _ in range(2))
    assert (one == again).all()


@pytest.mark.parametrize(
    "name",
    ["strong noise", "half covered", "uniform noise", "clouds", "empty field", "red cells alone", "smudge", "gradient",
     "stripes", "text on paper", "drawn scene"],
)  # fmt: skip
def test_what_is_left_to_chance_differs(name: str, batch: Pixels) -> None:
    same = np.repeat(batch[:1], 4, axis=0)
    changed = made(name, same)
    assert len({one.tobytes() for one in changed}) > 1
    assert (made(name, same, seed=1) != changed).any()


@pytest.mark.parametrize("probe", [probe for probe in PROBES if probe.family == "mild"], ids=lambda probe: probe.name)
def test_a_mild_change_leaves_the_colours_and_the_cell(probe: Probe, batch: Pixels) -> None:
    changed = probe.make(batch, np.random.default_rng(0))
    assert np.abs(changed.mean(axis=(1, 2)) - batch.mean(axis=(1, 2))).max() < 12
    dark, dark_before = ((images[..., 1] < 100).sum(axis=(1, 2)) for images in (changed, batch))
    assert dark == pytest.approx(dark_before, rel=0.1)


@pytest.mark.parametrize(
    "probe", [probe for probe in PROBES if probe.family == "corrupted"], ids=lambda probe: probe.name
)
def test_a_corruption_is_no_mild_change(probe: Probe, batch: Pixels) -> None:
    corrupted = distance(probe.make(batch, np.random.default_rng(0)), batch)
    assert corrupted > distance(made("JPEG quality 50", batch), batch)
    assert corrupted > distance(made("slightly blurred", batch), batch)


@pytest.mark.parametrize("name", ["empty field", "red cells alone", "uniform noise", "clouds", "white", "gradient"])
def test_no_nucleus_is_left_where_there_is_no_cell(name: str, batch: Pixels) -> None:
    changed = made(name, batch).astype(int)
    like_nucleus = (np.abs(changed - np.array(NUCLEUS)) < 10).all(axis=-1)
    assert like_nucleus.mean() < 0.01
    assert (np.abs(batch.astype(int) - np.array(NUCLEUS)) < 10).all(axis=-1).mean() > 0.05


def test_an_empty_field_has_the_colour_of_the_background(batch: Pixels) -> None:
    assert np.abs(made("empty field", batch).mean(axis=(1, 2)) - BACKGROUND).max() < 5


def test_a_smudge_has_the_colour_of_the_nucleus_but_no_edge_like_it(batch: Pixels) -> None:
    smudges = made("smudge", batch).astype(int)
    assert (smudges[..., 1].min(axis=(1, 2)) < 120).all()
    assert (np.abs(np.diff(smudges[..., 1], axis=2)).max(axis=(1, 2)) < 100).all()
    assert np.abs(np.diff(batch[..., 1].astype(int), axis=2)).max() > 150


def test_hues_turn_by_what_their_names_say() -> None:
    red = np.full((1, INPUT_SIDE, INPUT_SIDE, 3), (200, 20, 20), np.uint8)
    for degrees, colour in ((60, (200, 200, 20)), (120, (20, 200, 20)), (180, (20, 200, 200))):
        turned = made(f"hue turned by {degrees}°", red)[0, 0, 0].astype(int)
        assert np.abs(turned - colour).max() <= 5


def test_a_shift_is_by_4_pixels_each_way(batch: Pixels) -> None:
    ways = set()
    for seed in range(10):
        shifted = made("shifted by 4 px", batch[:1], seed)[0, 8:-8, 8:-8]
        found = [(y, x) for y in (4, 12) for x in (4, 12) if (batch[0, y : y + 112, x : x + 112] == shifted).all()]
        assert len(found) == 1
        ways.add(found[0])
    assert len(ways) > 1


def test_a_half_covered_image_keeps_the_other_half(batch: Pixels) -> None:
    covered = (made("half covered", batch) != batch).any(axis=-1)
    assert covered.mean(axis=(1, 2)) == pytest.approx(0.5, abs=0.01)


def test_magnifications(batch: Pixels) -> None:
    def dark(images: Pixels) -> int:
        return int((images[0, ..., 1] < 100).sum())

    assert dark(made("twice as large", batch)) == pytest.approx(4 * dark(batch), rel=0.1)
    smaller = made("half as large", batch)[:, 32:96, 32:96]
    assert dark(smaller) == pytest.approx(dark(batch) / 4, rel=0.1)
