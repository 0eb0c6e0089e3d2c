"""The confidence of a call: it falls with every sign of another kind, and the probabilities follow it."""

from dataclasses import replace

import numpy as np
import pytest

from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.models.errors import ModelInvalid
from smearcount.models.evaluation.calibration import REVIEW_SHARE, choose_threshold_by_review
from smearcount.models.evaluation.stain_shifts import STAIN_SHIFTS
from smearcount.models.evaluation.strangers import STRANGERS
from smearcount.models.evaluation.trust_fit import (
    FITTED,
    TESTED,
    Grouped,
    Known,
    colour_limit,
    fit_trust,
    fit_weights,
    unseen_shifts,
)
from smearcount.models.inference.appearance import colours, fit_appearance, sharpness
from smearcount.models.inference.classifier import NetworkClassifier
from smearcount.models.inference.ood import OodModel
from smearcount.models.inference.runtime import Reading
from smearcount.models.inference.trust import CLUES, Seen, TrustModel, likeness_bytes, read_likeness, softened
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import Pixels

CLASSES = len(CellClass)


def cells(n: int, seed: int) -> tuple[Pixels, np.ndarray]:
    """Draw n cells: a disc in a colour of its class on a light ground, with some grain."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) * CLASSES // n
    palette = np.random.default_rng(0).integers(40, 170, (CLASSES, 3))
    y, x = np.mgrid[-1 : 1 : INPUT_SIDE * 1j, -1 : 1 : INPUT_SIDE * 1j]
    disc = (np.hypot(x, y) < 0.5)[..., np.newaxis]
    images = np.where(disc, palette[labels][:, np.newaxis, np.newaxis], np.array([240, 220, 200]))
    return np.clip(images + rng.normal(0, 8, images.shape), 0, 255).astype(np.uint8), labels


class ColourNetwork:
    """Calls each image by the colour of its centre; its features are colours and how they vary."""

    def read(self, pixels: Pixels) -> Reading:
        """Return logits, and 6 features of which 3 are the early ones."""
        centre = pixels[:, 44:84, 44:84].astype(np.float32).mean(axis=(1, 2))
        spread = pixels[:, ::4, ::4].astype(np.float32).std(axis=(1, 2))
        palette = np.random.default_rng(0).integers(40, 170, (CLASSES, 3))
        distances = np.linalg.norm(centre[:, np.newaxis] - palette, axis=2)
        return Reading((-distances / 6).astype(np.float32), np.concatenate([spread, centre], axis=1))


@pytest.fixture(scope="module")
def fitted() -> tuple[OodModel, TrustModel]:
    """The confidence of the colour network, fitted to 480 drawn cells and chosen on 160 others."""
    network = ColourNetwork()
    pixels, labels = cells(480, 1)
    features = network.read(pixels).features
    assert features is not None
    found = fit_trust(
        network.read,
        lambda reading: reading.logits.astype(np.float64),
        Grouped(pixels, labels, features),
        Known(*cells(160, 2)),
        np.arange(CLASSES),
        3,
    )
    return found.ood_model, found.trust


def classifier(fitted: tuple[OodModel, TrustModel], threshold: float = 0.5) -> NetworkClassifier:
    used = ModelUsed("drawn", "1.0.0", "0" * 64, "none", threshold)
    return NetworkClassifier(ColourNetwork(), used, 1.0, ood_model=fitted[0], ood_limit=1e9, trust=fitted[1])


def test_known_cells_are_trusted_and_strangers_are_not(fitted: tuple[OodModel, TrustModel]) -> None:
    calls = classifier(fitted).classify(cells(80, 3)[0])
    assert np.median([call.confidence for call in calls]) > 0.9
    assert np.median([call.colour_distance for call in calls if call.colour_distance]) == pytest.approx(1, abs=0.3)
    noise = np.random.default_rng(4).integers(0, 256, (20, INPUT_SIDE, INPUT_SIDE, 3)).astype(np.uint8)
    assert max(call.confidence for call in classifier(fitted).classify(noise)) < 0.5


def test_the_confidence_is_the_largest_probability(fitted: tuple[OodModel, TrustModel]) -> None:
    for call in classifier(fitted).classify(cells(40, 5)[0]):
        assert call.confidence == max(call.probabilities)
        assert sum(call.probabilities) == pytest.approx(1)
        assert call.cell_class == list(CellClass)[int(np.argmax(call.probabilities))]


def test_a_cell_does_not_depend_on_its_neighbours(fitted: tuple[OodModel, TrustModel]) -> None:
    pixels, _ = cells(12, 6)
    together, alone = classifier(fitted).classify(pixels), [classifier(fitted).classify(one[None])[0] for one in pixels]
    assert [call.confidence for call in together] == pytest.approx([call.confidence for call in alone], abs=1e-9)
    assert classifier(fitted).classify(pixels[:0]) == []


def test_no_clue_counts_the_wrong_way_round(fitted: tuple[OodModel, TrustModel]) -> None:
    assert (fitted[1].weights[:-1] * np.array(list(CLUES.values())) >= 0).all()
    rng = np.random.default_rng(7)
    clues = rng.normal(size=(400, len(CLUES)))
    against = fit_weights(clues, clues[:, 1] + rng.normal(size=400) > 0, np.ones(400))
    assert against[1] == 0.0, "more unlikeness must never make a call more trusted"
    along = fit_weights(clues, clues[:, 0] - clues[:, 1] + rng.normal(size=400) > 0, np.ones(400))
    assert along[0] > 0.5
    assert along[1] < -0.5


def test_colours_are_known_as_far_as_the_network_is_right() -> None:
    home = np.linspace(0.5, 4.0, 1000)
    near, far, further = (np.full(10, distance) for distance in (5.0, 10.0, 20.0))
    assert colour_limit(home, [(far, 0.95), (near, 0.9), (further, 0.5)]) == pytest.approx(11.5)
    assert colour_limit(home, [(near, 0.5), (far, 0.99)]) == pytest.approx(4.0, abs=0.01), "never less than home"
    assert colour_limit(home, [(near, 0.99), (far, 0.5), (further, 0.99)]) == pytest.approx(5.75)


def test_every_sign_of_another_kind_lowers_the_confidence(fitted: tuple[OodModel, TrustModel]) -> None:
    _, trust = fitted
    model = replace(trust, weights=np.array([*CLUES.values(), 0.0], np.float64), colour_limit=15.0)
    reading = ColourNetwork().read(cells(8, 8)[0])
    assert reading.features is not None

    def confidence(**changed: float) -> np.ndarray:
        usual = {"ood_scores": 1.0, "colour_distances": 1.0, "sharpness": 1.0} | changed
        seen = Seen(reading.features, **{name: np.full(8, value) for name, value in usual.items()})  # type: ignore[arg-type]
        return model.confidences(reading.logits, seen)

    for changed in ({"ood_scores": 3.0}, {"colour_distances": 20.0}, {"sharpness": 0.4}, {"sharpness": 2.5}):
        assert (confidence(**changed) < confidence()).all()


def test_softening_keeps_the_order_and_reaches_the_confidence() -> None:
    rng = np.random.default_rng(9)
    logits, wanted = rng.normal(0, 5, (200, 8)), rng.uniform(0.13, 0.999, 200)
    probabilities = softened(logits, wanted)
    assert probabilities.max(axis=1) == pytest.approx(wanted, abs=1e-6)
    assert (probabilities.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert (np.diff(np.take_along_axis(probabilities, np.argsort(logits), axis=1)) >= 0).all()
    assert softened(logits, np.full(200, 0.01)).max() < 0.13
    assert softened(logits[:0], wanted[:0]).shape == (0, 8)


def test_it_survives_being_stored(fitted: tuple[OodModel, TrustModel]) -> None:
    content = likeness_bytes(*fitted)
    ood_model, trust = read_likeness(content)
    assert trust is not None
    assert likeness_bytes(ood_model, trust) == content
    assert read_likeness(fitted[0].to_bytes())[1] is None, "files of earlier versions hold none"


@pytest.mark.parametrize("name", ["weights", "group_classes", "colour_mean", "late_means", "colour_limit"])
def test_arrays_that_do_not_fit_are_refused(fitted: tuple[OodModel, TrustModel], name: str) -> None:
    arrays = fitted[1].to_arrays()
    for wrong in ({name: arrays[name][:-1]}, {}):
        with pytest.raises(ModelInvalid, match="export the model anew"):
            TrustModel.from_arrays({key: array for key, array in arrays.items() if key != name} | wrong)


def test_the_threshold_spends_the_share_for_review() -> None:
    confidences = np.arange(1, 1001) / 1001
    threshold = choose_threshold_by_review(confidences, np.ones(1000, bool))
    assert (confidences < threshold).mean() <= REVIEW_SHARE
    assert (confidences < threshold + 0.001).mean() > REVIEW_SHARE - 0.002
    countable = np.ones(1000, bool)
    countable[-20:] = False
    assert choose_threshold_by_review(confidences, countable) < threshold, "what is over the limit counts as well"


def test_stains_that_are_tested_choose_nothing() -> None:
    assert {shift.name for shift in (*FITTED, *TESTED)} == {shift.name for shift in STAIN_SHIFTS}
    assert not set(FITTED) & set(TESTED)
    assert len({shift.name for shift in STAIN_SHIFTS}) == len(STAIN_SHIFTS)
    assert [name for name, _ in unseen_shifts(Known(*cells(16, 1)), 2)] == [shift.name for shift in TESTED]


@pytest.mark.parametrize("shift", STAIN_SHIFTS, ids=lambda shift: shift.name)
def test_a_simulated_stain_changes_the_look_and_leaves_its_input(shift: object) -> None:
    pixels, _ = cells(40, 10)
    before, appearance = pixels.copy(), fit_appearance(cells(160, 1)[0])
    made = shift.make(pixels, np.random.default_rng(1))  # type: ignore[attr-defined]
    assert (pixels == before).all()
    assert made.shape == pixels.shape
    assert made.dtype == np.uint8
    assert np.median(appearance.colour_distances(made)) > np.median(appearance.colour_distances(pixels))
    assert (made == shift.make(pixels, np.random.default_rng(1))).all()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_is_another_image(name: str) -> None:
    pixels, _ = cells(16, 11)
    before = pixels.copy()
    made = STRANGERS[name](pixels, np.random.default_rng(1))
    assert (pixels == before).all()
    assert made.shape == pixels.shape
    assert made.dtype == np.uint8
    assert (made != pixels).mean() > 0.1


def test_blur_lowers_the_sharpness_and_stain_does_not() -> None:
    pixels, _ = cells(8, 12)
    smooth = (pixels.astype(np.float32) + np.roll(pixels, 1, axis=2) + np.roll(pixels, -1, axis=2)) / 3
    assert (sharpness(smooth.astype(np.uint8)) < sharpness(pixels)).all()
    assert sharpness((pixels // 2).astype(np.uint8)) == pytest.approx(sharpness(pixels), rel=0.1)
    assert colours(np.full((1, 128, 128, 3), 255, np.uint8)) == pytest.approx(np.zeros((1, 6)))
