"""A model card decides calls as much as the weights do: one that was exchanged or edited is never used unnoticed."""

import json
from pathlib import Path
from typing import Any

import pytest

from smearcount.cli.site import Site
from smearcount.models import card as model_cards
from smearcount.models.card import check_model, load_card
from smearcount.models.catalogue.choice import IN_USE, Choice, chosen, keep_choice
from smearcount.models.catalogue.registry import Registered, at, choose, find, register
from smearcount.models.errors import ModelInvalid, ModelsError
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.settings import SHIPPED_MODEL, SHIPPED_SHA256, ModelSettings


@pytest.fixture
def own(tmp_path: Path) -> Registered:
    """A copy of the shipped model, registered in the folder of the machine's own models."""
    shipped = load_card(SHIPPED_MODEL)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in (shipped.file, shipped.ood.file if shipped.ood else shipped.file):
        (folder / name).write_bytes((SHIPPED_MODEL.parent / name).read_bytes())
    (folder / "ours-7.json").write_text(SHIPPED_MODEL.read_text())
    return register(at(folder / "ours-7.json"), tmp_path / "models")


def edit(card: Path, **changes: Any) -> None:
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))


def exchange_outputs(card: Path) -> None:
    """Let neutrophils count as lymphocytes and the other way round; the weights stay."""
    other = {"neutrophil": "lymphocyte", "lymphocyte": "neutrophil"}
    edit(card, outputs=[other.get(name, name) for name in json.loads(card.read_text())["outputs"]])


@pytest.mark.parametrize(
    "attack",
    [exchange_outputs, lambda card: edit(card, threshold=0.01), lambda card: edit(card, temperature=9.0)],
    ids=["outputs", "threshold", "temperature"],
)
def test_a_chosen_models_card_is_not_edited_unnoticed(own: Registered, tmp_path: Path, attack: Any) -> None:
    choose(own, tmp_path / "models")
    settings = Site(data=tmp_path).models
    check_model(settings)
    attack(own.path)
    for use in (check_model, lambda pinned: load_classifier(pinned, threads=1)):
        with pytest.raises(ModelInvalid, match="not the model chosen") as refused:
            use(settings)
        assert "smearcount model use" in str(refused.value)


def test_the_environments_hash_covers_the_card(own: Registered) -> None:
    settings = ModelSettings(model=own.path, model_sha256=own.card.content_sha256)
    check_model(settings)
    exchange_outputs(own.path)
    with pytest.raises(ModelInvalid, match="SMEARCOUNT_MODEL_SHA256"):
        check_model(settings)


def test_every_process_that_up_starts_refuses_a_card_exchanged_meanwhile(own: Registered, tmp_path: Path) -> None:
    pinned = Site(data=tmp_path).environment()
    assert pinned["SMEARCOUNT_MODEL_SHA256"] == SHIPPED_SHA256
    choose(own, tmp_path / "models")
    assert Site(data=tmp_path).environment()["SMEARCOUNT_MODEL_SHA256"] == own.card.content_sha256


def test_results_of_an_edited_card_name_another_model(own: Registered) -> None:
    before = own.card.identity()
    exchange_outputs(own.path)
    after = load_card(own.path).identity()
    assert after.weights_sha256 == before.weights_sha256
    assert after.sha256 != before.sha256


def test_the_shipped_models_card_is_not_edited_unnoticed(own: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_card(SHIPPED_MODEL).content_sha256 == SHIPPED_SHA256, "say so in models/settings.py"
    monkeypatch.setattr(model_cards, "SHIPPED_MODEL", own.path)
    check_model(ModelSettings(model=own.path))
    exchange_outputs(own.path)
    with pytest.raises(ModelInvalid, match="not the model chosen"):
        check_model(ModelSettings(model=own.path))


def test_a_choice_of_an_earlier_version_names_the_weights_alone_and_is_made_anew(
    own: Registered, tmp_path: Path
) -> None:
    keep_choice(Choice(card=own.path, sha256=own.card.sha256), tmp_path / "models")
    with pytest.raises(ModelInvalid, match=r"weights alone .*smearcount model use") as refused:
        check_model(Site(data=tmp_path).models)
    assert own.card.content_sha256 in str(refused.value)


@pytest.mark.parametrize("name", [IN_USE, "In-Use.json"])
def test_a_card_named_as_the_choice_is_refused(own: Registered, tmp_path: Path, name: str) -> None:
    card = own.path.rename(own.path.with_name(name)) if name != IN_USE else tmp_path / "elsewhere" / IN_USE
    card.write_text(SHIPPED_MODEL.read_text())
    with pytest.raises(ModelsError, match="another name"):
        find(str(card), tmp_path / "models")
    with pytest.raises(ModelsError, match="another name"):
        register(Registered("x", card, own.card), tmp_path)
    assert chosen(tmp_path / "models") is None


@pytest.mark.usefixtures("own")
def test_a_models_files_take_no_other_cards_place(tmp_path: Path) -> None:
    evil = tmp_path / "elsewhere" / "evil-1.json"
    shipped = json.loads(SHIPPED_MODEL.read_text())
    for name in (IN_USE, "ours-7.json", "OURS-7.JSON"):
        evil.write_text(json.dumps({**shipped, "file": name}))
        with pytest.raises(ModelInvalid, match=r"no \.json"):
            at(evil)


def test_a_models_files_take_no_other_models_files_place(own: Registered, tmp_path: Path) -> None:
    evil = tmp_path / "elsewhere" / "evil-1.json"
    likeness = own.path.parent / json.loads(SHIPPED_MODEL.read_text())["likeness"]["file"]
    weights = tmp_path / "elsewhere" / likeness.name
    weights.write_bytes((tmp_path / "elsewhere" / own.card.file).read_bytes())
    evil.write_text(json.dumps({**json.loads(SHIPPED_MODEL.read_text()), "file": likeness.name, "likeness": None}))
    before = likeness.read_bytes()
    with pytest.raises(ModelsError, match="another model's file"):
        register(at(evil), own.path.parent)
    assert likeness.read_bytes() == before
