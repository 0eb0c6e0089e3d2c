"""Models on a machine: the shipped ones, its own, and which is in use."""

import json
from pathlib import Path

import pytest

from smearcount.models.card import load_card
from smearcount.models.catalogue.choice import chosen
from smearcount.models.catalogue.registry import Registered, choose, find, register, registered
from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.settings import SHIPPED_MODEL


@pytest.fixture
def own(tmp_path: Path) -> Registered:
    """The shipped model under another name, in a folder of its own."""
    folder = tmp_path / "made-elsewhere"
    folder.mkdir()
    shipped = load_card(SHIPPED_MODEL)
    for name in [shipped.file] + ([shipped.ood.file] if shipped.ood else []):
        (folder / name).write_bytes((SHIPPED_MODEL.parent / name).read_bytes())
    card = shipped.model_copy(update={"name": "ours"})
    (folder / "ours-7.json").write_text(card.model_dump_json())
    return Registered("ours-7", folder / "ours-7.json", card)


def test_without_a_folder_there_are_the_shipped_models(tmp_path: Path) -> None:
    models = registered(tmp_path / "none")
    assert SHIPPED_MODEL in [model.path for model in models]
    assert chosen(tmp_path / "none") is None


def test_a_registered_model_is_found_and_can_be_chosen(own: Registered, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    kept = register(own, folder)
    assert kept.path.parent == folder
    assert find("ours-7", folder) == kept
    choose(kept, folder)
    choice = chosen(folder)
    assert choice is not None
    assert (choice.card, choice.sha256) == (kept.path, own.card.content_sha256)
    assert [model.reference for model in registered(folder)].count("ours-7") == 1


def test_registering_twice_is_fine_and_another_of_the_name_is_not(own: Registered, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    register(own, folder)
    register(own, folder)
    other = own.card.model_copy(update={"threshold": 0.123})
    own.path.write_text(other.model_dump_json())
    with pytest.raises(ModelsError, match="another name"):
        register(Registered("ours-7", own.path, other), folder)
    assert load_card(folder / "ours-7.json") == own.card


def test_a_card_is_found_by_its_path(own: Registered, tmp_path: Path) -> None:
    assert find(str(own.path), tmp_path).card == own.card


def test_an_unknown_model_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match=SHIPPED_MODEL.stem):
        find("nobody", tmp_path)


def test_damaged_weights_are_neither_registered_nor_chosen(own: Registered, tmp_path: Path) -> None:
    weights = own.path.parent / own.card.file
    weights.write_bytes(weights.read_bytes()[:-1])
    folder = tmp_path / "models"
    for act in (register, choose):
        with pytest.raises(ModelInvalid, match="SHA-256"):
            act(own, folder)
    assert not folder.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"card": "/x"}), "\xff"])
def test_a_damaged_choice_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "in-use.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelInvalid, match="smearcount model use"):
        chosen(tmp_path)
