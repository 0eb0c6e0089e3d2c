"""The network smearcount grew from, trained for real on a few drawn images: only where TensorFlow is installed."""

import colorsys
import csv
import json
import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from smearcount.differential.classes import CellClass
from smearcount.models.errors import ModelsError
from smearcount.models.evaluation.dataset import LabelledFile
from smearcount.models.training import seed_network
from smearcount.models.training.conversion import litert_bytes
from smearcount.models.training.seed_network import (
    BATCH,
    SIDE,
    SeedResult,
    _is_over,
    _pixels_and_labels,
    build_seed_network,
    train_seed,
)

from faults.crashing import crash_at_every_rename
from support.waiting import wait_until

# TensorFlow and Keras warn about themselves
pytestmark = pytest.mark.filterwarnings("ignore")

EPOCHS = 2


def draw(tree: Path, *, per_class: int, size: tuple[int, int]) -> Path:
    """Write images of one colour per class, each a little lighter or darker than the last."""
    for position, label in enumerate(CellClass):
        (tree / label).mkdir(parents=True)
        for number in range(per_class):
            colour = colorsys.hsv_to_rgb(position / len(CellClass), 0.6, 0.9 - 0.1 * number)
            pixels = tuple(round(255 * share) for share in colour)
            Image.new("RGB", size, pixels).save(tree / label / f"{number}.jpg")
    return tree


@pytest.fixture(scope="module")
def train_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("images") / "train", per_class=2, size=(312, 315))


@pytest.fixture(scope="module")
def val_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("images") / "val", per_class=1, size=(360, 363))


@pytest.fixture(scope="module")
def finished(train_images: Path, val_images: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SeedResult]:
    """A run that nothing interrupted: its folder and its result."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, train_seed(train_images, run, validation_dir=val_images, epochs=EPOCHS)


def log_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def content_of(run: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_size, path.stat().st_mtime_ns) for path in run.iterdir()}


def test_the_network_is_the_one_described() -> None:
    network = build_seed_network()
    assert network.input_shape == (None, 300, 300, 3)
    assert network.output_shape == (None, 8)
    side = ((300 - 2) // 2 - 2) // 2
    convolutions = (3 * 3 * 3 + 1) * 32 + (3 * 3 * 32 + 1) * 32
    assert network.count_params() == convolutions + (32 + 1) * 128 + (side * side * 128 + 1) * 8 == 5_471_272
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds[-3:] == ["Dense", "Flatten", "Dense"]


def test_a_cropped_image_is_shown_like_the_whole_one(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (363, 360, 3), np.uint8))
    noise.save(tmp_path / "whole.png")
    noise.crop((24, 24, 336, 339)).save(tmp_path / "cropped.png")
    files = [LabelledFile(tmp_path / name, CellClass.PLATELET) for name in ("whole.png", "cropped.png")]
    ((pixels, labels),) = _pixels_and_labels(files).as_numpy_iterator()
    assert labels.tolist() == [7, 7]
    assert pixels.shape == (2, SIDE, SIDE, 3)
    assert 200 < pixels.max() <= 255
    np.testing.assert_array_equal(pixels[0], pixels[1])


def test_a_run_leaves_log_network_and_result(finished: tuple[Path, SeedResult]) -> None:
    run, result = finished
    log = log_of(run)
    assert [float(row["epoch"]) for row in log] == [1, 2]
    assert json.loads((run / "result.json").read_text()) == asdict(result)
    best = max(float(row["validation_accuracy"]) for row in log)
    assert result.accuracy == result.macro_recall == pytest.approx(best, abs=1e-4)
    assert result.epochs == EPOCHS
    assert result.seconds == pytest.approx(sum(float(row["seconds"]) for row in log), abs=0.1)
    assert result.parameters == 5_471_272
    assert result.megabytes == pytest.approx(4 * result.parameters / 1e6, rel=0.01)
    assert result.images_per_second > 0
    network = keras.saving.load_model(run / "network.keras")
    assert (run / "network.tflite").read_bytes() == litert_bytes(network, (BATCH, SIDE, SIDE, 3))


def test_an_interrupted_run_goes_on(
    finished: tuple[Path, SeedResult], train_images: Path, val_images: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"

    def press_ctrl_c() -> None:
        wait_until((run / "log.csv").exists, what="the first epoch")
        os.kill(os.getpid(), signal.SIGINT)

    # Where the tests run in the background of a shell, this process was started to ignore it.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    impatient = threading.Thread(target=press_ctrl_c)
    impatient.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            train_seed(train_images, run, validation_dir=val_images, epochs=EPOCHS)
        impatient.join()
    finally:
        signal.signal(signal.SIGINT, handler)
    (first,) = log_of(run)
    assert not (run / "result.json").exists()

    result = train_seed(train_images, run, validation_dir=val_images, epochs=EPOCHS)
    assert result.epochs == EPOCHS
    assert log_of(run)[0] == first
    for ours, whole in zip(log_of(run), log_of(finished[0]), strict=True):
        for column in ("loss", "validation_loss"):
            assert float(ours[column]) == pytest.approx(float(whole[column]), rel=1e-3), (ours, whole)


def test_a_run_that_is_cut_off_again_and_again_trains_no_epoch_twice(
    train_images: Path, val_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every rename, before and after it; `test_checkpoints` cuts off a toy at all other steps as well."""
    monkeypatch.setattr(seed_network, "SIDE", 32)  # a small network, which costs next to nothing
    monkeypatch.setattr(seed_network, "_TIMED_SECONDS", 0.01)

    def train(run: Path) -> SeedResult:
        return train_seed(train_images, run, validation_dir=val_images, epochs=EPOCHS)

    whole = train(tmp_path / "whole")
    run = tmp_path / "cut"
    cut, crashes = crash_at_every_rename(lambda: train(run), run, run / "progress.json")
    assert crashes >= 12
    for ours, theirs in zip(log_of(run), log_of(tmp_path / "whole"), strict=True):
        assert {**ours, "seconds": ""} == {**theirs, "seconds": ""}
    assert (cut.accuracy, cut.epochs, cut.parameters) == (whole.accuracy, whole.epochs, whole.parameters)
    steps = EPOCHS * -(-2 * len(CellClass) // BATCH)
    assert int(keras.saving.load_model(run / f"epoch-{EPOCHS:02}.keras").optimizer.iterations) == steps
    assert not list(run.glob(".*"))


def test_a_finished_run_is_not_trained_again(finished: tuple[Path, SeedResult], tmp_path: Path) -> None:
    run, result = finished
    before = content_of(run)
    assert train_seed(tmp_path / "gone", run, validation_dir=tmp_path / "gone", epochs=EPOCHS) == result
    assert content_of(run) == before


def test_the_folder_of_another_run_is_left_alone(finished: tuple[Path, SeedResult], train_images: Path) -> None:
    with pytest.raises(ModelsError, match="another recipe; choose another folder"):
        train_seed(train_images, finished[0], validation_dir=train_images, epochs=EPOCHS + 1)


@pytest.mark.parametrize(
    ("accuracies", "over"),
    [
        ([], False),
        ([0.5], False),
        ([0.5, 0.6, 0.6], False),
        ([0.5, 0.6, 0.6, 0.55], True),
        ([0.6, 0.5, 0.7, 0.6], False),
        ([0.1, 0.2, 0.3, 0.4, 0.5], True),
    ],
)
def test_training_stops_when_validation_no_longer_improves(accuracies: Sequence[float], *, over: bool) -> None:
    assert _is_over([{"validation_accuracy": accuracy} for accuracy in accuracies], epochs=5) is over


def test_images_that_cannot_be_used_are_named(train_images: Path, tmp_path: Path) -> None:
    def train(images: Path) -> None:
        train_seed(images, tmp_path / "run", validation_dir=train_images)

    with pytest.raises(ModelsError, match="is no folder"):
        train(tmp_path / "gone")
    tree = draw(tmp_path / "images", per_class=1, size=(312, 312))
    bad = tree / CellClass.IG / "bad.jpg"
    bad.write_bytes(b"no image")
    with pytest.raises(ModelsError, match=r"bad\.jpg cannot be read as JPEG, PNG, BMP"):
        train(tree)
    Image.new("RGB", (400, 311)).save(bad)
    with pytest.raises(ModelsError, match=r"bad\.jpg is 400 × 311 px"):
        train(tree)
    whole = next((train_images / CellClass.IG).iterdir()).read_bytes()
    bad.write_bytes(whole[:-200])
    with pytest.raises(ModelsError, match=r"bad\.jpg is damaged"):
        train(tree)
    assert not (tmp_path / "run" / "log.csv").exists()


def test_no_epochs(train_images: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="give at least 1"):
        train_seed(train_images, tmp_path / "run", validation_dir=train_images, epochs=0)
