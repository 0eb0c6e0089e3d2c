"""A model is used only if it is the one its card describes, and the card is one this code understands."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from smearcount.differential.classes import CellClass
from smearcount.models.card import ModelCard, load_card, verified_ood_file, verified_weights
from smearcount.models.errors import ModelInvalid
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.network_input import PREPROCESSING_VERSION
from smearcount.models.settings import SHIPPED_MODEL, ModelSettings


@pytest.fixture
def content() -> dict[str, Any]:
    """Content of the shipped card, to be changed."""
    loaded: dict[str, Any] = json.loads(SHIPPED_MODEL.read_text())
    return loaded


def written(folder: Path, content: dict[str, Any], weights: bytes | None = None) -> Path:
    """Write card, weights and likeness file into `folder`; without `weights`, the shipped ones."""
    if content.get("likeness"):
        likeness = SHIPPED_MODEL.parent / json.loads(SHIPPED_MODEL.read_text())["likeness"]["file"]
        (folder / content["likeness"]["file"]).write_bytes(likeness.read_bytes())
    if weights is None:
        weights = (SHIPPED_MODEL.parent / json.loads(SHIPPED_MODEL.read_text())["file"]).read_bytes()
    (folder / content["file"]).write_bytes(weights)
    card = folder / "card.json"
    card.write_text(json.dumps(content))
    return card


def refusal_of(card: Path) -> str:
    with pytest.raises(ModelInvalid) as refused:
        verified_weights(card)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_the_shipped_model_is_whole() -> None:
    card = load_card(SHIPPED_MODEL)
    weights = verified_weights(SHIPPED_MODEL)
    assert hashlib.sha256(weights).hexdigest() == card.sha256
    assert len(weights) == card.bytes
    assert card.classes == tuple(CellClass)
    assert card.preprocessing == PREPROCESSING_VERSION
    assert set(card.validation.recall) == set(CellClass)


def test_the_shipped_card_credits_the_images_and_names_the_limits() -> None:
    card = load_card(SHIPPED_MODEL)
    assert card.training.licence == "CC BY 4.0"
    assert "Acevedo" in card.training.attribution
    assert card.training.doi == "10.17632/snkd93bnjr.1"
    limits = " ".join(card.limits)
    for word in ("research use", "one laboratory", "blasts", "reactive lymphocytes", "smudge", "artefacts"):
        assert word in limits


def test_a_card_survives_being_written_and_read(content: dict[str, Any], tmp_path: Path) -> None:
    card = load_card(written(tmp_path, content))
    (tmp_path / "again.json").write_text(card.model_dump_json())
    assert load_card(tmp_path / "again.json") == card


def test_a_card_cannot_be_changed(content: dict[str, Any]) -> None:
    card = ModelCard.model_validate_json(json.dumps(content))
    with pytest.raises(ValidationError):
        card.threshold = 0.1


def test_missing_card(tmp_path: Path) -> None:
    assert "SMEARCOUNT_MODEL" in refusal_of(tmp_path / "card.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff\xfe", "null"])
def test_a_file_that_is_no_card(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_bytes(text.encode("latin-1"))
    assert "card.json" in refusal_of(tmp_path / "card.json")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../smearcount"),
        ("version", "one"),
        ("file", "../weights.tflite"),
        ("file", "/etc/passwd"),
        ("sha256", "abc"),
        ("runtime", "abacus"),
        ("precision", "int4"),
        ("outputs", ["neutrophil"] * 11),
        ("outputs", ["blast"]),
        ("likeness", {}),
        ("parity", None),
        ("temperature", 0),
        ("temperature", -1),
        ("threshold", 1.5),
        ("validation", {}),
        ("unheard_of", 1),
    ],
)
def test_a_card_with_an_impossible_value(content: dict[str, Any], tmp_path: Path, field: str, value: object) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({**content, field: value}))
    assert field in refusal_of(path)


def test_a_card_without_a_class_in_its_figures(content: dict[str, Any], tmp_path: Path) -> None:
    del content["validation"]["recall"]["ig"]
    assert "every class" in refusal_of(written(tmp_path, content))


def test_missing_weights(content: dict[str, Any], tmp_path: Path) -> None:
    card = written(tmp_path, content)
    (tmp_path / content["file"]).unlink()
    assert "beside its card" in refusal_of(card)


@pytest.mark.parametrize(
    "spoil", [lambda w: w[:-1], lambda w: w + b"\0", lambda w: w[:500] + b"!" + w[501:], lambda _: b""]
)
def test_changed_weights(content: dict[str, Any], tmp_path: Path, spoil: Any) -> None:
    card = written(tmp_path, content)
    weights = tmp_path / content["file"]
    weights.write_bytes(spoil(weights.read_bytes()))
    assert "SHA-256" in refusal_of(card)
    with pytest.raises(ModelInvalid):
        load_classifier(ModelSettings(model=card), threads=1)


def test_changed_likeness_file(content: dict[str, Any], tmp_path: Path) -> None:
    card = written(tmp_path, content)
    likeness = tmp_path / content["likeness"]["file"]
    load_classifier(ModelSettings(model=card), threads=1)
    likeness.write_bytes(likeness.read_bytes() + b"\0")
    with pytest.raises(ModelInvalid, match="SHA-256"):
        load_classifier(ModelSettings(model=card), threads=1)
    likeness.unlink()
    with pytest.raises(ModelInvalid, match="beside its card"):
        verified_ood_file(card, load_card(card).ood)  # type: ignore[arg-type]


def test_a_model_exchanged_whole_is_refused_by_the_hash_that_was_chosen(
    content: dict[str, Any], tmp_path: Path
) -> None:
    card = written(tmp_path, content)
    chosen = load_card(SHIPPED_MODEL).content_sha256
    load_classifier(ModelSettings(model=card, model_sha256=chosen), threads=1)
    other = b"another network"
    card = written(tmp_path, {**content, "sha256": hashlib.sha256(other).hexdigest()}, other)
    with pytest.raises(ModelInvalid, match="not the model chosen"):
        load_classifier(ModelSettings(model=card, model_sha256=chosen), threads=1)


def test_another_preprocessing(content: dict[str, Any], tmp_path: Path) -> None:
    assert PREPROCESSING_VERSION in refusal_of(written(tmp_path, {**content, "preprocessing": "full-300-v0"}))
    assert "96 px" in refusal_of(written(tmp_path, {**content, "input_side": 96}))


@pytest.mark.parametrize("classes", [[], list(CellClass)[::-1], list(CellClass)[:-1], [*CellClass, "blast"]])
def test_other_classes(content: dict[str, Any], tmp_path: Path, classes: list[str]) -> None:
    assert "in this order" in refusal_of(written(tmp_path, {**content, "classes": classes}))


@pytest.mark.parametrize("weights", [b"no flatbuffer", bytes(5000), b""])
def test_weights_that_match_their_card_and_are_no_network(
    content: dict[str, Any], tmp_path: Path, weights: bytes
) -> None:
    card = written(tmp_path, {**content, "sha256": hashlib.sha256(weights).hexdigest()}, weights)
    with pytest.raises(ModelInvalid, match="export the model anew"):
        load_classifier(ModelSettings(model=card), threads=1)


@pytest.mark.parametrize("path", sorted(SHIPPED_MODEL.parent.glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_card_is_written_again_byte_for_byte(path: Path) -> None:
    assert (load_card(path).model_dump_json(indent=2) + "\n").encode() == path.read_bytes()


def test_the_ood_file_has_one_name_in_json(content: dict[str, Any], tmp_path: Path) -> None:
    assert load_card(SHIPPED_MODEL).ood is not None
    content["ood"] = content.pop("likeness")
    (tmp_path / "card.json").write_text(json.dumps(content))
    with pytest.raises(ModelInvalid, match="likeness: Field required"):
        load_card(tmp_path / "card.json")


def test_the_hash_of_a_card_is_that_of_its_content_and_not_of_its_layout(
    content: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps(content))
    first = load_card(path).content_sha256
    path.write_text(json.dumps(dict(reversed(content.items())), indent=4))
    assert load_card(path).content_sha256 == first
    assert load_card(path).identity().card_sha256 == first
    assert load_card(path).identity(0.5).card_sha256 == first
    for name, value in (("temperature", content["temperature"] + 0.1), ("limits", ["another one"])):
        path.write_text(json.dumps({**content, name: value}))
        assert load_card(path).content_sha256 != first
