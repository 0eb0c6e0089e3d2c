"""From Keras to LiteRT: only where TensorFlow is installed (make train)."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from differential.classes import CellClass
from models.card import load_card, verified_weights
from models.classifier import load_classifier, softmax
from models.errors import ModelInvalid, ModelsError
from models.export import Release, check_parity, convert, export, load_network
from models.litert import LiteRTNetwork
from models.network import build_network
from models.preprocessing import INPUT_SIDE
from models.settings import ModelSettings

keras = pytest.importorskip("keras", reason="TensorFlow is not installed: the conversion is not tested")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the conversion is not tested")

# TensorFlow and Keras warn of their own affairs
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras file as a run leaves it: any input size, and weights that are not those of the start."""
    keras.utils.set_random_seed(1)
    network = build_network()
    rng = np.random.default_rng(1)
    # Sharpened in the last layer, so that the probabilities differ from image to image without being all 0 or 1.
    *body, kernel, bias = [weights * rng.uniform(0.8, 1.2, weights.shape) for weights in network.get_weights()]
    network.set_weights([*body, kernel * 1e4, bias])
    path = tmp_path_factory.mktemp("run") / "network.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two coloured images of each class."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(2)
    for label in CellClass:
        (folder / label).mkdir()
        for number in range(2):
            coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
            coarse.resize((360, 363)).save(folder / label / f"{number}.jpg")
    return folder


def test_the_converted_network_is_the_trained_one(trained: Path) -> None:
    network = load_network(trained)
    pixels = np.random.default_rng(3).integers(0, 256, (11, INPUT_SIDE, INPUT_SIDE, 3), np.uint8)
    logits = LiteRTNetwork(convert(network), threads=1).logits(pixels)
    assert check_parity(network, pixels, logits, 1.0) < 1e-4
    expected = network.predict(pixels.astype(np.float32), verbose=0)
    probabilities = softmax(expected)
    assert probabilities.std(axis=0).max() > 0.01
    assert 0.1 < probabilities.max() < 0.99
    assert np.abs(probabilities - softmax(logits)).max() < 1e-4
    with pytest.raises(ModelsError, match="differs"):
        check_parity(network, pixels, logits + np.arange(8, dtype=np.float32), 1.0)
    with pytest.raises(ModelsError, match="differs"):
        check_parity(network, pixels, np.full_like(logits, np.nan), 1.0)


def test_export_writes_a_model_that_loads(trained: Path, images: Path, tmp_path: Path) -> None:
    card = export(trained, images, Release("ours", "2.1.0"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"ours-2.tflite", "ours-2.json"}
    assert load_card(tmp_path / "ours-2.json") == card
    assert len(verified_weights(tmp_path / "ours-2.json")) == card.bytes
    assert card.validation.images == 16
    classifier = load_classifier(ModelSettings(model=tmp_path / "ours-2.json"), threads=1)
    assert classifier.identity.sha256 == card.sha256


def test_export_twice_gives_the_same(trained: Path, images: Path, tmp_path: Path) -> None:
    first, second = (export(trained, images, Release("ours", "1.0.0"), tmp_path / name) for name in "ab")
    assert first.model_dump(exclude={"sha256", "bytes"}) == second.model_dump(exclude={"sha256", "bytes"})


def test_a_file_that_is_no_network(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "network.keras"
    path.write_bytes(b"no zip")
    with pytest.raises(ModelInvalid, match="train it anew"):
        export(path, images, Release("ours", "1.0.0"), tmp_path / "out")
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)])
    other.save(path)
    with pytest.raises(ModelInvalid, match="train it anew"):
        export(path, images, Release("ours", "1.0.0"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
