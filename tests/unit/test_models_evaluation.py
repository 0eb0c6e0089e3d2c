"""The figures of an evaluation, on calls and images whose figures are known."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from differential.classes import CellClass
from models import evaluation
from models.classifier import Classification, ModelIdentity, classifications
from models.dataset import labelled_files, load_pixels
from models.errors import ImageRefused, ModelsError
from models.evaluation import evaluate, main, score
from models.preprocessing import decode_cell

BASOPHIL, EOSINOPHIL = 0, 1


class Redness:
    """Calls red images basophils and others eosinophils, blue ones with little confidence."""

    identity = ModelIdentity(name="redness", version="0.0.1", sha256="0" * 64, preprocessing="none", threshold=0.7)

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
        """Judge each image by its mean colour."""
        red, green, _ = pixels.mean(axis=(1, 2)).T
        rows = np.zeros((len(pixels), len(CellClass)))
        rows[:, BASOPHIL] = np.where(red > 128, 0.9, np.where(green > 128, 0.1, 0.4))
        rows[:, EOSINOPHIL] = 1 - rows[:, BASOPHIL]
        return classifications(rows, self.identity.threshold)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Six images: 2 red and 1 green basophil, 1 green and 2 blue eosinophils; a damaged file and some clutter."""
    for label, colours in {"basophil": ["red", "red", "lime"], "eosinophil": ["lime", "blue", "blue"]}.items():
        (tmp_path / label).mkdir()
        for number, colour in enumerate(colours):
            Image.new("RGB", (360, 363), colour).save(tmp_path / label / f"{number}.jpg")
    (tmp_path / "basophil" / "9.jpg").write_bytes(b"")
    (tmp_path / "basophil" / "._0.jpg").write_bytes(b"clutter")
    (tmp_path / "basophil" / "notes.txt").write_text("clutter")
    return tmp_path


def test_evaluate(tree: Path) -> None:
    result = evaluate(Redness(), tree)
    assert result.images == 6
    assert result.refused == {"empty": 1}
    assert result.accuracy == pytest.approx(5 / 6)
    assert result.macro_recall == pytest.approx((2 / 3 + 1) / 2)
    basophil, eosinophil = result.classes[CellClass.BASOPHIL], result.classes[CellClass.EOSINOPHIL]
    assert (basophil.images, basophil.precision, basophil.recall) == (3, 1.0, pytest.approx(2 / 3))
    assert basophil.f1 == pytest.approx(0.8)
    assert eosinophil.precision == pytest.approx(3 / 4)
    assert result.classes[CellClass.PLATELET].recall is None
    assert result.confusion[BASOPHIL][:2] == (2, 1)
    assert result.confusion[EOSINOPHIL][:2] == (0, 3)
    assert result.unidentified == pytest.approx(2 / 6)
    assert result.errors_among_unidentified == 0.0
    assert result.accuracy_of_identified == pytest.approx(3 / 4)
    assert result.decode_per_second > 0
    assert result.network_per_second > 0


def test_scores_where_nothing_is_unidentified() -> None:
    scores = score(np.eye(8), np.arange(8), 0.5)
    assert scores.accuracy == scores.macro_recall == scores.accuracy_of_identified == 1.0
    assert scores.unidentified == scores.expected_calibration_error == 0.0
    assert scores.errors_among_unidentified is None


def test_scores_where_everything_is_unidentified() -> None:
    scores = score(np.full((4, 8), 1 / 8), np.arange(4), 0.5)
    assert scores.unidentified == 1.0
    assert scores.accuracy_of_identified is None
    assert scores.errors_among_unidentified == 0.75


@pytest.mark.parametrize("kind", ["missing", "empty", "damaged"])
def test_folders_without_usable_images(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "images"
    if kind != "missing":
        (folder / "ig").mkdir(parents=True)
    if kind == "damaged":
        (folder / "ig" / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ModelsError) as refused:
        evaluate(Redness(), folder)
    assert str(folder) in str(refused.value)


def test_loading_for_training_names_the_bad_file(tree: Path) -> None:
    with pytest.raises(ImageRefused, match=r"basophil/9\.jpg: the file is empty"):
        load_pixels(labelled_files(tree), decode_cell)


def test_the_command_prints_a_table(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluation, "load_classifier", lambda _settings, *, threads: (threads, Redness())[1])
    assert main([str(tree)]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "83.3%" in printed.out
    assert "refused            1 empty" in printed.out
    assert max(len(line) for line in printed.out.splitlines() if line[:1] in "┃│") <= 80


def test_the_command_prints_json(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluation, "load_classifier", lambda _settings, *, threads: (threads, Redness())[1])
    assert main([str(tree), "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["images"] == 6
    assert printed["classes"]["basophil"]["f1"] == pytest.approx(0.8)
    assert printed["model"]["name"] == "redness"


@pytest.mark.parametrize("options", [["--model", "nowhere.json"], []])
def test_the_command_fails_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert main([str(tmp_path / "nowhere"), *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
