"""The shipped weights, in the runtime that ships, on the images they were validated with."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from smearcount.differential.classes import CellClass
from smearcount.models.card import load_card, verified_weights
from smearcount.models.evaluation.dataset import labelled_files, load_pixels
from smearcount.models.evaluation.evaluation import evaluate
from smearcount.models.inference.classifier import Classifier, load_classifier
from smearcount.models.inference.litert import LiteRTNetwork
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.preprocessing import decode_cell, decode_half_size
from smearcount.models.settings import SHIPPED_MODEL, ModelSettings


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """The classifier as a worker loads it."""
    return load_classifier(ModelSettings(), threads=1)


@pytest.fixture(scope="module")
def noise() -> npt.NDArray[np.uint8]:
    """Nine images of nothing in particular."""
    return np.random.default_rng(7).integers(0, 256, (9, INPUT_SIDE, INPUT_SIDE, 3), np.uint8)


@pytest.mark.slow
def test_accuracy(pbc: Path, classifier: Classifier) -> None:
    result, _ = evaluate(classifier, pbc / "val")
    assert result.refused == {}
    assert result.accuracy >= 0.95
    assert result.macro_recall >= 0.95
    assert result.expected_calibration_error < 0.03
    card = load_card(SHIPPED_MODEL)
    # Another decoder or processor may tip a few images of 2,561.
    assert result.images == card.validation.images
    assert result.accuracy == pytest.approx(card.validation.accuracy, abs=0.003)
    assert result.unidentified == pytest.approx(card.validation.unidentified, abs=0.005)


@pytest.mark.slow
def test_the_two_decoders_see_the_same_pixels(pbc: Path) -> None:
    for file in labelled_files(pbc / "val"):
        with Image.open(file.path) as image:
            image.draft("RGB", (image.width // 2, image.height // 2))
            assert np.array_equal(decode_half_size(file.path.read_bytes()), np.asarray(image))


def test_every_class_is_found(pbc: Path, classifier: Classifier) -> None:
    files = labelled_files(pbc / "val")
    for label in CellClass:
        pixels, _ = load_pixels([file for file in files if file.label is label][:20], decode_cell)
        calls = [call.cell_class for call in classifier.classify(pixels)]
        assert calls.count(label) >= 15, label


def test_a_result_does_not_depend_on_the_batch(noise: npt.NDArray[np.uint8], classifier: Classifier) -> None:
    alone = [classifier.classify(noise[i : i + 1])[0] for i in range(len(noise))]
    for size in range(1, len(noise) + 1):
        assert classifier.classify(noise[:size]) == alone[:size]
        assert classifier.classify(noise[-size:]) == alone[-size:]


def test_no_images(classifier: Classifier) -> None:
    assert classifier.classify(np.empty((0, INPUT_SIDE, INPUT_SIDE, 3), np.uint8)) == []


def test_threads_change_nothing_that_matters(noise: npt.NDArray[np.uint8]) -> None:
    weights, outputs = verified_weights(SHIPPED_MODEL), len(load_card(SHIPPED_MODEL).outputs)
    one, two = (LiteRTNetwork(weights, outputs=outputs, threads=threads).read(noise).logits for threads in (1, 2))
    assert np.abs(one - two).max() < 1e-4


def test_probabilities_are_probabilities(noise: npt.NDArray[np.uint8], classifier: Classifier) -> None:
    extremes = np.stack([np.zeros_like(noise[0]), np.full_like(noise[0], 255)])
    for call in classifier.classify(np.concatenate([noise, extremes])):
        assert len(call.probabilities) == len(CellClass)
        assert sum(call.probabilities) == pytest.approx(1.0)
        assert call.confidence == max(call.probabilities)
        assert call.identified <= (call.confidence >= classifier.identity.threshold)


def test_read_only_and_strided_pixels_are_fine(noise: npt.NDArray[np.uint8], classifier: Classifier) -> None:
    mirrored = noise[:, :, ::-1]
    frozen = mirrored.copy()
    frozen.flags.writeable = False
    assert classifier.classify(mirrored) == classifier.classify(frozen)


def test_loading_is_quick_small_and_silent() -> None:
    script = """
import psutil, time
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.settings import ModelSettings
process = psutil.Process()
before = process.memory_info().rss
started = time.process_time()
load_classifier(ModelSettings(), threads=1)
print(time.process_time() - started, (process.memory_info().rss - before) / 1024**2)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    assert done.stderr == ""
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 10
    assert megabytes < 150


def test_what_others_write_while_loading_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    LiteRTNetwork(verified_weights(SHIPPED_MODEL), outputs=len(load_card(SHIPPED_MODEL).outputs), threads=1)
    print("still here", file=sys.stderr)
    assert capfd.readouterr().err == "still here\n"


def test_a_slide_takes_seconds(noise: npt.NDArray[np.uint8], classifier: Classifier) -> None:
    slide = np.repeat(noise, 12, axis=0)
    started = time.process_time()
    classifier.classify(slide)
    assert time.process_time() - started < 10
