"""`smearcount model`, as a lab scientist and an operator use it."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from smearcount.differential.classes import CellClass
from smearcount.models.card import load_card
from smearcount.models.settings import SHIPPED_MODEL

from support.running import Smearcount


@pytest.fixture(scope="module")
def some_cells(pbc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's labelled cells: links to four validation images of each class."""
    folder = tmp_path_factory.mktemp("labelled") / "cells"
    for label in CellClass:
        (folder / label).mkdir(parents=True)
        for path in sorted((pbc / "val" / label).glob("*.jpg"))[:4]:
            (folder / label / path.name).symlink_to(path)
    return folder


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    """The card of a model made elsewhere: the shipped one under another name, with its files beside it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shipped = load_card(SHIPPED_MODEL)
    for name in (shipped.file, shipped.ood.file if shipped.ood else shipped.file):
        shutil.copy(SHIPPED_MODEL.parent / name, folder)
    (folder / "ours-7.json").write_text(
        shipped.model_copy(update={"name": "ours", "version": "7.0.0"}).model_dump_json()
    )
    return folder / "ours-7.json"


def test_the_shipped_model_is_in_use_and_shown(smearcount: Smearcount) -> None:
    listed = json.loads(smearcount.call("model", "list", "--format", "json").stdout)
    assert [line["model"] for line in listed if line["in_use"]] == [SHIPPED_MODEL.stem]
    shown = smearcount.call("model", "show")
    assert shown.returncode == 0, shown.stderr
    for words in ("research use", "CC BY 4.0", "10.17632/snkd93bnjr.1", "go to review", "SHA-256"):
        assert words in " ".join(shown.stdout.split())
    card = json.loads(smearcount.call("model", "show", SHIPPED_MODEL.stem, "--format", "json").stdout)
    assert card == json.loads(SHIPPED_MODEL.read_text())


def test_a_model_from_elsewhere_is_registered_chosen_and_counts(
    smearcount: Smearcount, own_model: Path, some_cells: Path, tmp_path: Path
) -> None:
    assert smearcount.call("model", "import", own_model).returncode == 0
    used = smearcount.call("model", "use", "ours-7")
    assert used.returncode == 0, used.stderr
    settings = {line["setting"]: line for line in json.loads(smearcount.call("config", "--format", "json").stdout)}
    assert settings["SMEARCOUNT_MODEL"]["value"].endswith("models/ours-7.json")
    assert settings["SMEARCOUNT_MODEL"]["source"] == "model use"
    inbox = tmp_path / "inbox"
    shutil.copytree(some_cells / "neutrophil", inbox / "S1")
    assert smearcount.run("up", inbox, "--once").returncode == 0
    counts = json.loads(smearcount.call("counts", "S1", "--format", "json").stdout)
    assert (counts["model"]["name"], counts["model"]["version"]) == ("ours", "7.0.0")
    assert counts["wbc_counted"] + counts["unidentified"] == 4


def test_damaged_or_exchanged_files_are_refused_at_the_start(smearcount: Smearcount, own_model: Path) -> None:
    commands = (["up", ".", "--once"], ["worker"], ["model", "evaluate", "."])
    smearcount.call("model", "import", own_model)
    smearcount.call("model", "use", "ours-7")
    card_path = smearcount.data / "models" / "ours-7.json"
    card = json.loads(card_path.read_text())
    weights = card_path.parent / card["file"]
    content = weights.read_bytes()

    weights.write_bytes(content[:-8] + b"damaged!")
    for command in commands:
        damaged = smearcount.call(*command)
        assert damaged.returncode == 1
        assert "SHA-256" in damaged.stderr
        assert len(damaged.stderr.strip().splitlines()) == 1

    # Put another model in its place, card and weights: only the SHA-256 that `model use` has stored can tell.
    other = load_card(SHIPPED_MODEL.with_name(f"{SHIPPED_MODEL.stem}-int8.json"))
    weights.write_bytes((SHIPPED_MODEL.parent / other.file).read_bytes())
    card_path.write_text(other.model_copy(update={"file": card["file"]}).model_dump_json())
    for command in commands:
        exchanged = smearcount.call(*command)
        assert exchanged.returncode == 1
        assert "not the model chosen" in exchanged.stderr


def test_evaluate_reports_and_draws(smearcount: Smearcount, some_cells: Path, tmp_path: Path) -> None:
    done = smearcount.call("model", "evaluate", some_cells, "--report", tmp_path / "report")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.lower().split())
    for words in ("accuracy", "balanced accuracy", "recall", "precision", "f1", "go to review", "another kind"):
        assert words in said
    report = json.loads((tmp_path / "report" / "evaluation.json").read_text())
    assert report["images"] == 32
    assert report["accuracy"] > 0.9
    figures = sorted(path.name for path in (tmp_path / "report").glob("*.png"))
    assert figures == ["confusion.png", "mistakes.png", "reliability.png", "risk_coverage.png"]
    for name in figures:
        with Image.open(tmp_path / "report" / name) as figure:
            assert min(figure.size) > 300
    as_json = smearcount.call("model", "evaluate", some_cells, "--format", "json")
    assert json.loads(as_json.stdout)["images"] == 32
    assert str(smearcount.data) in as_json.stderr, "it says where the figures are"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "nobody"], SHIPPED_MODEL.stem),
        (["use", "/no/such/card.json"], "/no/such/card.json"),
        (["evaluate", "/no/such/folder"], "/no/such/folder"),
        (["evaluate", "/proc/self/fdinfo"], "neutrophil"),
        (["import", "/no/such.keras"], "--validation"),
        (["import", "/no/such.json"], "/no/such.json"),
        (["export", "/no/such.keras", "--name", "x", "--version", "1.0.0", "--validation", "/", "--precision", "int8"],
         "--training"),
        (["train", "/no/such/folder", "run", "--network", "seed"], "--validation"),
    ],
)  # fmt: skip
def test_errors_are_one_line_with_the_remedy(smearcount: Smearcount, arguments: list[str], says: str) -> None:
    done = smearcount.call("model", *arguments)
    assert done.returncode == 1, done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
