"""From Keras to a model that ships, and a site's own Keras model on the same way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from smearcount.differential.classes import CellClass
from smearcount.models.card import load_card
from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.evaluation.trust_fit import TESTED
from smearcount.models.inference.classification import softmax
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.inference.litert import LiteRTNetwork
from smearcount.models.inference.subtypes import CLASS_OF_SUBTYPE, class_logits
from smearcount.models.network_input import INPUT_SIDE
from smearcount.models.settings import ModelSettings
from smearcount.models.training.conversion import convert
from smearcount.models.training.export import export, export_forms, load_trained
from smearcount.models.training.importing import ALPHABETICAL, check_classes, load_foreign
from smearcount.models.training.labelled import Labelled, load_labelled
from smearcount.models.training.network import build_network
from smearcount.models.training.parity import check_parity
from smearcount.models.training.release import FORMS, Release

# TensorFlow and Keras warn about themselves
pytestmark = pytest.mark.filterwarnings("ignore")

#: A colour per class that no other class comes near.
COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20), (250, 20, 250), (20, 250, 250), (240, 240, 240),
           (10, 10, 10)]  # fmt: skip


class Heard:
    """Keeps the lines of a computation."""

    def __init__(self) -> None:
        """Begin with none."""
        self.lines: list[str] = []

    def step(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Take no note."""

    def line(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .keras file as a run leaves it: any input size, and weights that are not those of the start."""
    keras.utils.set_random_seed(1)
    network = build_network()
    rng = np.random.default_rng(1)
    # Sharpened in the last layer, so that the probabilities differ from image to image without being all 0 or 1.
    *body, kernel, bias = [weights * rng.uniform(0.8, 1.2, weights.shape) for weights in network.get_weights()]
    network.set_weights([*body, kernel * 3e4, bias])
    path = tmp_path_factory.mktemp("run") / "network.keras"
    network.save(path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images of each class, in the class's colour with a pattern."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(2)
    for label, colour in zip(CellClass, COLOURS, strict=True):
        (folder / label).mkdir()
        for number in range(12):
            coarse = np.clip(np.array(colour) + rng.normal(0, 15, (12, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(coarse).resize((360, 363)).save(folder / label / f"{number}.jpg", quality=95)
    return folder


@pytest.fixture(scope="module")
def labelled(images: Path) -> Labelled:
    """The same, decoded."""
    return load_labelled(images, CLASS_OF_SUBTYPE)


def colour_network(order: Sequence[CellClass], end: str, side: int | None = INPUT_SIDE, scale: float = 1 / 255) -> Any:
    """A site's network: tells the colours apart by their distance, without any training."""
    colours = np.array([COLOURS[list(CellClass).index(label)] for label in order], np.float32) * scale
    inputs = keras.Input((side, side, 3))
    x = keras.layers.Rescaling(scale)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    dense = keras.layers.Dense(len(order), activation="softmax" if end == "softmax" else None)
    outputs = dense(x)
    # The nearest of several points is the one with the largest x . p - |p|^2 / 2.
    dense.set_weights([20 * colours.T, -10 * (colours**2).sum(axis=1)])
    if end == "layer":
        outputs = keras.layers.Softmax()(outputs)
    if end == "sigmoid":
        outputs = keras.layers.Activation("sigmoid")(outputs)
    return keras.Model(inputs, outputs)


def test_the_converted_network_is_the_trained_one(trained: Path, labelled: Labelled) -> None:
    network = load_trained(trained)
    logits = class_logits(
        LiteRTNetwork(convert(network), outputs=11, threads=1).read(labelled.pixels).logits, CLASS_OF_SUBTYPE
    )
    check_parity(network, CLASS_OF_SUBTYPE, labelled.pixels, logits, 1.0)
    probabilities = softmax(logits)
    assert probabilities.std(axis=0).max() > 0.01, "the images are told apart"
    assert probabilities.max() < 0.9999
    with pytest.raises(ModelsError, match="differs"):
        check_parity(network, CLASS_OF_SUBTYPE, labelled.pixels, (logits + np.arange(8)).astype(np.float32), 1.0)
    with pytest.raises(ModelsError, match="finite"):
        check_parity(network, CLASS_OF_SUBTYPE, labelled.pixels, np.full_like(logits, np.nan), 1.0)


def test_features_are_the_means_over_the_map_that_tells_other_kinds(trained: Path, labelled: Labelled) -> None:
    network = load_trained(trained)
    reading = LiteRTNetwork(convert(network), outputs=11, threads=1).read(labelled.pixels)
    assert reading.features is not None
    until = keras.Model(network.inputs, network.get_layer("stage2").output)
    expected = until.predict(labelled.pixels.astype(np.float32), verbose=0).mean(axis=(1, 2))
    assert reading.features[:, : expected.shape[1]] == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert reading.features.std(axis=0).max() > 0.01
    kernel, bias = network.layers[-1].get_weights()
    late = reading.features[:, expected.shape[1] :]
    assert late @ kernel + bias == pytest.approx(reading.logits, rel=1e-3, abs=1e-2), (
        "then what the logits are made from"
    )


def test_features_of_another_network_are_what_its_logits_are_made_from(labelled: Labelled) -> None:
    network = colour_network(tuple(CellClass), "logits")
    reading = LiteRTNetwork(convert(network), outputs=8, threads=1).read(labelled.pixels)
    assert reading.features is not None
    kernel, bias = network.layers[-1].get_weights()
    assert reading.features @ kernel + bias == pytest.approx(reading.logits, rel=1e-3, abs=1e-2)


@pytest.mark.parametrize(("runtime", "precision"), [("litert", "float32"), ("litert", "int8"), ("keras", "float32")])
def test_export_writes_a_model_that_loads(labelled: Labelled, tmp_path: Path, runtime: Any, precision: Any) -> None:
    network = colour_network(tuple(CellClass), "logits")
    release = Release("ours", "2.1.0", runtime=runtime, precision=precision)
    groups = Labelled(labelled.pixels, labelled.labels, labelled.labels)
    card = export(network, release, tuple(CellClass), training=groups, validation=groups, out_dir=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        card.file,
        f"{release.stem}.json",
        f"{release.stem}.likeness.npz",
    }
    assert load_card(tmp_path / f"{release.stem}.json") == card
    assert (card.runtime, card.precision) == (runtime, precision)
    assert card.validation.accuracy == 1.0
    classifier = load_classifier(ModelSettings(model=tmp_path / f"{release.stem}.json"), threads=1)
    calls = classifier.classify(labelled.pixels)
    assert [list(CellClass).index(call.cell_class) for call in calls] == labelled.labels.tolist()
    assert all(call.ood_score is not None and call.colour_distance is not None for call in calls)
    assert card.confidence is not None
    assert [shift.name for shift in card.confidence.shifts] == [shift.name for shift in TESTED]
    assert all(shift.name not in card.confidence.chosen_on for shift in TESTED), "they chose nothing"


def test_all_forms_share_what_is_fitted(trained: Path, images: Path, tmp_path: Path) -> None:
    network, labelled = load_trained(trained), load_labelled(images, CLASS_OF_SUBTYPE)
    forms = [Release("ours", "3.0.0", runtime=runtime, precision=precision) for runtime, precision in FORMS]
    said = Heard()
    cards = export_forms(
        network, forms[::2], CLASS_OF_SUBTYPE, training=labelled, validation=labelled, out_dir=tmp_path, progress=said
    )
    assert [card.file for card in cards] == ["ours-3.tflite", "ours-3-keras.keras"]
    assert len({(tmp_path / f"{form.stem}.likeness.npz").read_bytes() for form in forms[::2]}) == 1
    assert sum("unlikeness and confidence" in line for line in said.lines) == 1, "fitted once"
    assert all(line.endswith(" s") for line in said.lines)


def test_export_twice_gives_the_same(trained: Path, labelled: Labelled, tmp_path: Path) -> None:
    network = load_trained(trained)
    first, second = (
        export(network, Release("ours", "1.0.0"), CLASS_OF_SUBTYPE, training=None, validation=labelled,
               out_dir=tmp_path / name) for name in "ab"
    )  # fmt: skip
    assert first.model_dump(exclude={"sha256", "bytes"}) == second.model_dump(exclude={"sha256", "bytes"})
    assert first.ood is None, "without training images nothing is known of other kinds"


def test_a_file_that_is_no_network(tmp_path: Path) -> None:
    path = tmp_path / "network.keras"
    path.write_bytes(b"no zip")
    with pytest.raises(ModelInvalid, match="cannot be read"):
        load_trained(path)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)]).save(path)
    with pytest.raises(ModelInvalid, match="train it anew"):
        load_trained(path)


@pytest.mark.parametrize("end", ["logits", "softmax", "layer"])
@pytest.mark.parametrize("side", [INPUT_SIDE, None])
def test_a_sites_model_becomes_one_of_ours(images: Path, tmp_path: Path, end: str, side: int | None) -> None:
    path = tmp_path / "site.keras"
    original = colour_network(ALPHABETICAL, end, side)
    original.save(path)
    foreign = load_foreign(path, ALPHABETICAL)
    labelled = load_labelled(images, ALPHABETICAL)
    check_classes(foreign, ALPHABETICAL, labelled)
    card = export(foreign, Release("site", "1.0.0"), ALPHABETICAL, training=None, validation=labelled, out_dir=tmp_path)
    assert card.outputs == ALPHABETICAL
    assert card.classes == tuple(CellClass)
    classifier = load_classifier(ModelSettings(model=tmp_path / "site-1.json"), threads=1)
    calls = classifier.classify(labelled.pixels)
    assert [list(CellClass).index(call.cell_class) for call in calls] == labelled.labels.tolist()
    raw = original.predict(labelled.pixels.astype(np.float32), verbose=0)
    logits = raw if end == "logits" else np.log(raw)
    expected = softmax(class_logits(logits, ALPHABETICAL), card.temperature)
    assert np.array([call.probabilities for call in calls]) == pytest.approx(expected, abs=1e-3)


def test_outputs_in_another_order_than_said_are_refused(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.keras"
    colour_network(ALPHABETICAL[::-1], "softmax").save(path)
    foreign = load_foreign(path, ALPHABETICAL)
    with pytest.raises(ModelInvalid, match="--classes"):
        check_classes(foreign, ALPHABETICAL, load_labelled(images, ALPHABETICAL))


def test_a_network_for_pixels_of_another_scale_is_refused(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.keras"
    colour_network(ALPHABETICAL, "softmax", scale=1.0).save(path)
    stretched = keras.saving.load_model(path)
    stretched.layers[1].scale = 255.0  # as if it had been trained on 0-1
    stretched.save(path)
    foreign = load_foreign(path, ALPHABETICAL)
    with pytest.raises(ModelInvalid, match="0 to 255"):
        check_classes(foreign, ALPHABETICAL, load_labelled(images, ALPHABETICAL))


def test_a_class_without_images_cannot_be_checked(images: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.keras"
    colour_network(ALPHABETICAL, "softmax").save(path)
    labelled = load_labelled(images, ALPHABETICAL)
    kept = labelled.labels != 3
    few = Labelled(labelled.pixels[kept], labelled.labels[kept], labelled.groups[kept])
    with pytest.raises(ModelInvalid, match=list(CellClass)[3]):
        check_classes(load_foreign(path, ALPHABETICAL), ALPHABETICAL, few)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (lambda: colour_network(ALPHABETICAL, "logits", 300), "300 × 300 × 3"),
        (lambda: colour_network(ALPHABETICAL[:7], "logits"), "returns 7"),
        (lambda: colour_network(ALPHABETICAL, "sigmoid"), "sigmoid"),
        (lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(8)]), "takes images of 4"),
        (lambda: keras.Sequential([keras.Input((128, 128, 1)), keras.layers.Flatten(), keras.layers.Dense(8)]), "128 × 1;"),
    ],
)  # fmt: skip
def test_networks_that_do_not_fit_are_refused(tmp_path: Path, network: Any, says: str) -> None:
    path = tmp_path / "site.keras"
    network().save(path)
    with pytest.raises(ModelInvalid, match=says):
        load_foreign(path, ALPHABETICAL)


def test_a_keras_file_with_code_of_its_own_is_not_run(tmp_path: Path) -> None:
    inputs = keras.Input((INPUT_SIDE, INPUT_SIDE, 3))
    x = keras.layers.Lambda(lambda pixels: pixels / 255)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    path = tmp_path / "site.keras"
    keras.Model(inputs, keras.layers.Dense(8)(x)).save(path)
    with pytest.raises(ModelInvalid, match="cannot be read"):
        load_foreign(path, ALPHABETICAL)
