"""Training: the same weights whether interrupted or not, and a loss that counts what it says."""

import csv
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from smearcount.differential.classes import CellClass
from smearcount.models.errors import ModelsError
from smearcount.models.evaluation.figures import training_curve
from smearcount.models.training import network as networks
from smearcount.models.training.loss import LOSS_NAME, set_crossentropy
from smearcount.models.training.train import Recipe, train

from faults.crashing import crash_at_every_rename

# TensorFlow and Keras warn about themselves
pytestmark = pytest.mark.filterwarnings("ignore")

RECIPE = Recipe(batch=8, phases=((2, 32),), warmup_epochs=0.5, validate_every=2)
LOSS = {LOSS_NAME: set_crossentropy(RECIPE.label_smoothing)}


class Lines:
    """Keeps the lines that a training run reports."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Show nothing."""

    def line(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)


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


def log_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_alike(one: Path, other: Path) -> None:
    for ours, theirs in zip(weights_of(one), weights_of(other), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of all kinds of layers that costs next to nothing."""
    monkeypatch.setattr(networks, "STAGES", ((8, 1), (8, 1)))


@pytest.mark.usefixtures("small")
def test_a_run_that_is_cut_off_again_and_again_trains_no_epoch_twice(images: Path, tmp_path: Path) -> None:
    """At every rename, before and after it; `test_checkpoints` cuts off a toy at all other steps as well."""
    whole = train(images, tmp_path / "whole", RECIPE, validation_dir=images)
    folder, trained = tmp_path / "cut", Lines()
    cut, crashes = crash_at_every_rename(
        lambda: train(images, folder, RECIPE, validation_dir=images, progress=trained),
        tmp_path,
        folder / "progress.json",
    )
    assert crashes >= 12
    assert_alike(whole, cut)
    # Each step of the optimizer moves the weights, so their number tells of every batch that went into them.
    steps = RECIPE.epochs * (2 * len(CellClass) // RECIPE.batch)
    assert int(keras.saving.load_model(cut, custom_objects=LOSS).optimizer.iterations) == steps
    assert [row["epoch"] for row in log_of(folder)] == ["1", "2"]
    for ours, theirs in zip(log_of(folder), log_of(tmp_path / "whole"), strict=True):
        assert float(ours["loss"]) == pytest.approx(float(theirs["loss"]), rel=1e-3)
    assert [path.name for path in folder.glob(".*")] == []
    assert [path.name for path in folder.glob("epoch-*")] == ["epoch-02.keras"]
    reported = [line.split()[1] for line in trained.lines if line.startswith("epoch")]
    assert len(set(reported)) == len(reported), "an epoch that counts is not trained again"


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(images: Path, tmp_path: Path) -> None:
    whole = train(images, tmp_path / "whole", RECIPE, validation_dir=images)

    class Impatient(Lines):
        """Presses Ctrl-C in the second epoch."""

        def step(self, stage: str, done: int, total: int, note: str = "") -> None:
            assert (done, total) in {(1, 2), (2, 2)}
            assert note.startswith("loss ")
            if stage == "epoch 2/2 at 32 px":
                raise KeyboardInterrupt

    reports = Impatient()
    with pytest.raises(KeyboardInterrupt):
        train(images, tmp_path / "cut", RECIPE, validation_dir=images, progress=reports)
    assert [line.split()[:2] for line in reports.lines] == [["training", "on"], ["epoch", "1"]]
    cut = train(images, tmp_path / "cut", RECIPE, validation_dir=images)
    assert_alike(whole, cut)

    rows = log_of(tmp_path / "whole")
    assert [row["side"] for row in rows] == ["32", "32"]
    assert [bool(row["validation_accuracy"]) for row in rows] == [False, True]
    training_curve(tmp_path / "whole" / "log.csv", tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000

    finished = whole.stat().st_mtime_ns
    assert train(images, tmp_path / "whole", RECIPE) == whole
    assert whole.stat().st_mtime_ns == finished, "a finished run is not trained again"
    with pytest.raises(ModelsError, match="another recipe"):
        train(images, tmp_path / "whole", Recipe())


@pytest.mark.usefixtures("small")
def test_training_goes_on_from_trained_weights(images: Path, tmp_path: Path) -> None:
    start = train(images, tmp_path / "first", RECIPE)
    onwards = replace(RECIPE, start=Recipe.onwards(start).start, learning_rate=1e-9, weight_decay=0.0)

    second = train(images, tmp_path / "second", onwards, start=start)

    kernels = [
        (ours, theirs) for ours, theirs in zip(weights_of(start), weights_of(second), strict=True) if ours.ndim == 4
    ]
    assert kernels
    for ours, theirs in kernels:
        assert ours == pytest.approx(theirs, abs=1e-5)
    with pytest.raises(ModelsError, match="not the file that the recipe begins with"):
        train(images, tmp_path / "third", replace(RECIPE, start="0" * 64), start=start)


@pytest.mark.usefixtures("small")
def test_training_does_not_go_on_from_another_network(images: Path, tmp_path: Path) -> None:
    foreign, text = tmp_path / "foreign.keras", tmp_path / "text.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(foreign)
    text.write_text("no network")
    for file in (foreign, text):
        with pytest.raises(ModelsError, match="does not hold our network"):
            train(images, tmp_path / file.stem, Recipe.onwards(file), start=file)


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
