"""From logits to calls: softmax, temperature, threshold; and which model the settings choose."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import ValidationError

from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.models.card import load_card
from smearcount.models.errors import ModelsError, RuntimeMissing
from smearcount.models.inference.classification import classifications, softmax
from smearcount.models.inference.classifier import NetworkClassifier, load_classifier
from smearcount.models.inference.runtime import Reading
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.settings import SHIPPED_MODEL, ModelSettings

IDENTITY = ModelUsed(name="fake", version="0.0.1", sha256="0" * 64, preprocessing="none", threshold=0.5)


class FakeNetwork:
    """Calls each image the class whose index its first pixel holds."""

    def read(self, pixels: npt.NDArray[np.uint8]) -> Reading:
        """Return one-hot logits of 5."""
        return Reading(5 * np.eye(len(CellClass), dtype=np.float32)[pixels[:, 0, 0, 0]], None)


def test_softmax_of_known_values() -> None:
    assert softmax(np.array([[0.0, np.log(3)]])) == pytest.approx(np.array([[0.25, 0.75]]))
    assert softmax(np.array([[0.0, 2 * np.log(3)]]), 2.0) == pytest.approx(np.array([[0.25, 0.75]]))


def test_softmax_neither_overflows_nor_vanishes() -> None:
    for logits in (np.array([[1e4, -1e4]], np.float32), np.full((1, 8), 1e30, np.float32), np.full((1, 8), -1e30)):
        probabilities = softmax(logits)
        assert np.isfinite(probabilities).all()
        assert probabilities.sum() == pytest.approx(1.0)


def test_softmax_of_nothing() -> None:
    assert softmax(np.empty((0, 8), np.float32)).shape == (0, 8)


def test_temperature_never_changes_the_call() -> None:
    logits = np.random.default_rng(1).normal(size=(100, 8))
    for temperature in (0.1, 1.0, 10.0):
        assert np.array_equal(softmax(logits, temperature).argmax(axis=1), logits.argmax(axis=1))


def test_a_confidence_at_the_threshold_is_identified() -> None:
    row = np.array([[0.5, 0.25, 0.25, 0, 0, 0, 0, 0]])
    assert classifications(row, 0.5)[0].identified
    assert not classifications(row, 0.5000001)[0].identified
    assert classifications(row, 0.0)[0].identified


def test_a_call_says_all_it_is_based_on() -> None:
    row = [0.1, 0.05, 0.05, 0.1, 0.1, 0.4, 0.1, 0.1]
    (call,) = classifications(np.array([row]), 0.9)
    assert call.cell_class is CellClass.MONOCYTE
    assert call.confidence == 0.4
    assert call.probabilities == tuple(row)
    assert not call.identified


def test_an_image_too_unlike_the_known_ones_is_unidentified_however_sure_the_call() -> None:
    rows = np.tile([1.0, 0, 0, 0, 0, 0, 0, 0], (3, 1))
    calls = classifications(rows, 0.5, np.array([1.9, 2.0, 2.1]), 2.0)
    assert [call.identified for call in calls] == [True, True, False]
    assert [call.ood_score for call in calls] == [1.9, 2.0, 2.1]
    assert [call.confidence for call in calls] == [1.0, 1.0, 1.0]


def test_classify_keeps_the_order() -> None:
    pixels = np.zeros((16, INPUT_SIDE, INPUT_SIDE, 3), np.uint8)
    pixels[:, 0, 0, 0] = np.arange(16) % 8
    calls = NetworkClassifier(FakeNetwork(), IDENTITY, 1.0).classify(pixels)
    assert [call.cell_class for call in calls] == [*CellClass, *CellClass]


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((INPUT_SIDE, INPUT_SIDE, 3), np.uint8),
        np.zeros((1, 96, 96, 3), np.uint8),
        np.zeros((1, INPUT_SIDE, INPUT_SIDE, 4), np.uint8),
        np.zeros((1, INPUT_SIDE, INPUT_SIDE, 3), np.float32),
    ],
)
def test_pixels_of_another_form_are_refused(pixels: npt.NDArray[np.uint8]) -> None:
    with pytest.raises(ModelsError, match="uint8 images of shape"):
        NetworkClassifier(FakeNetwork(), IDENTITY, 1.0).classify(pixels)


def test_the_shipped_model_is_the_default() -> None:
    card = load_card(SHIPPED_MODEL)
    assert load_classifier(ModelSettings(), threads=1).identity == ModelUsed(
        card.name,
        card.version,
        card.content_sha256,
        card.preprocessing,
        card.threshold,
        card.content_sha256,
        card.sha256,
    )


def test_settings_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_MODEL", "/models/ours.json")
    monkeypatch.setenv("SMEARCOUNT_THRESHOLD", "0.25")
    assert ModelSettings() == ModelSettings(model=Path("/models/ours.json"), threshold=0.25)
    monkeypatch.setenv("SMEARCOUNT_MODEL", "")
    monkeypatch.setenv("SMEARCOUNT_THRESHOLD", "")
    assert ModelSettings() == ModelSettings(model=SHIPPED_MODEL, threshold=None)


@pytest.mark.parametrize("threshold", ["-0.1", "1.1", "nan", "high"])
def test_an_impossible_threshold_is_refused(monkeypatch: pytest.MonkeyPatch, threshold: str) -> None:
    monkeypatch.setenv("SMEARCOUNT_THRESHOLD", threshold)
    with pytest.raises(ValidationError):
        ModelSettings()


def test_every_setting_is_described() -> None:
    for name, field in ModelSettings.model_fields.items():
        assert (field.description or "").endswith("."), name


@pytest.mark.parametrize("threshold", [0.0, 0.123])
def test_the_threshold_of_the_settings_goes_first(threshold: float) -> None:
    assert load_classifier(ModelSettings(threshold=threshold), threads=1).identity.threshold == threshold


def test_a_missing_runtime_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "smearcount.models.inference.litert", raising=False)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(RuntimeMissing, match="pip install ai-edge-litert"):
        load_classifier(ModelSettings(), threads=1)
