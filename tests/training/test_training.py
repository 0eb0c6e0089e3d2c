"""Training: the same weights whether interrupted or not, and a loss that counts what it says."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smearcount.differential.classes import CellClass
from smearcount.models.errors import ModelsError
from smearcount.models.evaluation.figures import training_curve
from smearcount.models.training import train as training
from smearcount.models.training.loss import set_crossentropy
from smearcount.models.training.train import Recipe, train

keras = pytest.importorskip("keras", reason="TensorFlow is not installed: training is not tested")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed: training is not tested")

# TensorFlow and Keras warn of their own affairs
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]

RECIPE = Recipe(batch=8, phases=((2, 32),), warmup_epochs=0.5, validate_every=2)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two coloured images of each class."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(4)
    for label in CellClass:
        (folder / label).mkdir()
        for number in range(2):
            coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
            coarse.resize((360, 363)).save(folder / label / f"{number}.jpg")
    return folder


def weights_of(path: Path) -> list[np.ndarray]:
    weights: list[np.ndarray] = keras.saving.load_model(path, compile=False).get_weights()
    return weights


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(images, tmp_path / "whole", RECIPE, validation_dir=images)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(training, "_log", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(images, tmp_path / "cut", RECIPE, validation_dir=images)
    assert (tmp_path / "cut" / "epochs_done").read_text() == "1"
    cut = train(images, tmp_path / "cut", RECIPE, validation_dir=images)
    for one, other in zip(weights_of(whole), weights_of(cut), strict=True):
        assert one == pytest.approx(other, rel=1e-3, abs=1e-4)

    with (tmp_path / "whole" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["side"] for row in rows] == ["32", "32"]
    assert [bool(row["validation_accuracy"]) for row in rows] == [False, True]
    training_curve(tmp_path / "whole" / "log.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000

    finished = whole.stat().st_mtime_ns
    assert train(images, tmp_path / "whole", RECIPE) == whole
    assert whole.stat().st_mtime_ns == finished, "a finished run is not trained again"
    with pytest.raises(ModelsError, match="another recipe"):
        train(images, tmp_path / "whole", Recipe())


def test_the_loss_of_one_right_output_is_the_smoothed_cross_entropy() -> None:
    logits = np.random.default_rng(1).normal(size=(5, 11)).astype(np.float32)
    one_hot = np.eye(11, dtype=np.float32)[[0, 3, 10, 3, 5]]
    known = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)(one_hot, logits)
    ours = np.asarray(set_crossentropy(0.1)(one_hot, logits))
    assert ours.mean() == pytest.approx(float(known), rel=1e-5)


def test_the_loss_of_several_right_outputs_counts_their_sum() -> None:
    logits = np.log(np.array([[0.1, 0.3, 0.6]], np.float32))
    (loss,) = np.asarray(set_crossentropy(0.0)(np.array([[1.0, 1.0, 0.0]], np.float32), logits))
    assert loss == pytest.approx(-np.log(0.4), rel=1e-5)
