"""The shipped model in every form: the same network in LiteRT, in TensorFlow, and with numbers of 8 bits."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from smearcount.models.augmentation.augmentation import MARGIN_SIDE, decode_with_margin
from smearcount.models.card import load_card
from smearcount.models.evaluation.dataset import labelled_files, load_pixels
from smearcount.models.inference.classification import Classification
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import decode_cell
from smearcount.models.settings import SHIPPED_MODEL, ModelSettings
from smearcount.models.training.train import _central

INT8 = SHIPPED_MODEL.with_name(f"{SHIPPED_MODEL.stem}-int8.json")
KERAS = SHIPPED_MODEL.with_name(f"{SHIPPED_MODEL.stem}-keras.json")


@pytest.fixture(scope="module")
def cells(pbc: Path) -> npt.NDArray[np.uint8]:
    """Every fifth validation image."""
    pixels, _ = load_pixels(labelled_files(pbc / "val")[::5], decode_cell)
    return pixels


def calls_of(card: Path, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
    return load_classifier(ModelSettings(model=card), threads=2).classify(pixels)


def differences(some: list[Classification], others: list[Classification]) -> npt.NDArray[np.float64]:
    pairs = zip(some, others, strict=True)
    return np.array([np.abs(np.subtract(a.probabilities, b.probabilities)).max() for a, b in pairs])


def same_class(some: list[Classification], others: list[Classification]) -> float:
    return float(np.mean([a.cell_class is b.cell_class for a, b in zip(some, others, strict=True)]))


@pytest.mark.filterwarnings("ignore")  # TensorFlow warns about itself
def test_both_runtimes_agree(cells: npt.NDArray[np.uint8]) -> None:
    litert, tensorflow = calls_of(SHIPPED_MODEL, cells), calls_of(KERAS, cells)
    assert same_class(litert, tensorflow) == 1.0
    assert differences(litert, tensorflow).max() < 1e-3
    strange = [(a.ood_score, b.ood_score) for a, b in zip(litert, tensorflow, strict=True)]
    assert all(a is not None and b == pytest.approx(a, rel=1e-2) for a, b in strange)


def test_both_precisions_agree(cells: npt.NDArray[np.uint8]) -> None:
    float32, int8 = calls_of(SHIPPED_MODEL, cells), calls_of(INT8, cells)
    assert same_class(float32, int8) > 0.985
    assert differences(float32, int8).mean() < 0.02
    # Where they disagree, neither is sure.
    unsure = [
        max(a.confidence, b.confidence) for a, b in zip(float32, int8, strict=True) if a.cell_class != b.cell_class
    ]
    assert sum(confidence > 0.99 for confidence in unsure) <= 1


def test_all_forms_are_of_one_version() -> None:
    cards = [load_card(path) for path in (SHIPPED_MODEL, INT8, KERAS)]
    assert {(card.name, card.version, card.preprocessing, card.parameters) for card in cards} == {
        (cards[0].name, cards[0].version, cards[0].preprocessing, cards[0].parameters)
    }
    assert [(card.runtime, card.precision) for card in cards] == [
        ("litert", "float32"), ("litert", "int8"), ("keras", "float32"),
    ]  # fmt: skip
    assert len({card.sha256 for card in cards}) == 3


@pytest.mark.parametrize("part", ["train", "val"])
def test_training_and_serving_see_identical_pixels(pbc: Path, part: str) -> None:
    files = labelled_files(pbc / part)[::97]
    in_training, _ = load_pixels(files, decode_with_margin)
    in_use, _ = load_pixels(files, decode_cell)
    assert in_training.shape[1:] == (MARGIN_SIDE, MARGIN_SIDE, 3)
    assert in_use.shape[1:] == (INPUT_SIDE, INPUT_SIDE, 3)
    assert np.array_equal(_central(in_training), in_use)
