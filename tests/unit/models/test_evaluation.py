"""The figures of an evaluation, on calls and images whose figures are known."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from rich.console import Console

from smearcount.cli.views.evaluation import evaluation_table
from smearcount.differential.classes import CellClass
from smearcount.differential.intervals import clopper_pearson
from smearcount.differential.model import ModelUsed
from smearcount.models.errors import ImageRefused, ModelsError
from smearcount.models.evaluation.calls import Calls
from smearcount.models.evaluation.dataset import labelled_files, load_pixels
from smearcount.models.evaluation.evaluation import Evaluation, evaluate
from smearcount.models.evaluation.intervals import intervals
from smearcount.models.evaluation.ood_probes import PROBES
from smearcount.models.evaluation.ood_scores import OodScores, spread
from smearcount.models.evaluation.report import report_json
from smearcount.models.evaluation.scores import score
from smearcount.models.evaluation.thresholds import ThresholdRow, threshold_rows
from smearcount.models.inference.classification import Classification, classifications
from smearcount.models.preprocessing import decode_cell

BASOPHIL, EOSINOPHIL = 0, 1


def redness(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return probabilities: red is basophil, other colours are eosinophil, with little confidence for blue and black."""
    red, green, _ = pixels.mean(axis=(1, 2)).T
    rows = np.zeros((len(pixels), len(CellClass)))
    rows[:, BASOPHIL] = np.where(red > 128, 0.9, np.where(green > 128, 0.1, 0.4))
    rows[:, EOSINOPHIL] = 1 - rows[:, BASOPHIL]
    return rows


class Redness:
    """Calls images by their mean colour."""

    identity = ModelUsed(name="redness", version="0.0.1", sha256="0" * 64, preprocessing="none", threshold=0.7)

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
        """Judge each image by its mean colour."""
        return classifications(redness(pixels), self.identity.threshold)


class Choosy(Redness):
    """Finds green images unlike those it knows."""

    def classify(self, pixels: npt.NDArray[np.uint8]) -> list[Classification]:
        """Judge each image by its mean colour, and count none that is greener than half."""
        return classifications(redness(pixels), self.identity.threshold, pixels[..., 1].mean(axis=(1, 2)) / 128, 1.0)


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
    result, calls = evaluate(Redness(), tree)
    assert result.images == 6
    assert result.refused == {"empty": 1}
    assert result.accuracy == pytest.approx(5 / 6)
    assert result.macro_recall == pytest.approx((2 / 3 + 1) / 2)
    basophil, eosinophil = result.classes[CellClass.BASOPHIL], result.classes[CellClass.EOSINOPHIL]
    assert (basophil.images, basophil.precision) == (3, 1.0)
    assert basophil.recall == pytest.approx(2 / 3)
    assert basophil.f1 == pytest.approx(0.8)
    assert eosinophil.precision == pytest.approx(3 / 4)
    assert result.classes[CellClass.PLATELET].recall is None
    assert result.confusion[BASOPHIL][:2] == (2, 1)
    assert result.confusion[EOSINOPHIL][:2] == (0, 3)
    assert result.unidentified == pytest.approx(2 / 6)
    assert result.errors_among_unidentified == 0.0
    assert result.errors_unidentified == 0.0
    assert result.accuracy_of_identified == pytest.approx(3 / 4)
    assert result.unidentified_by_ood is None
    assert result.decode_per_second > 0
    assert result.network_per_second > 0
    assert [path.name for path in calls.paths] == ["0.jpg", "1.jpg", "2.jpg"] * 2
    assert calls.labels.tolist() == [BASOPHIL] * 3 + [EOSINOPHIL] * 3
    assert calls.called.tolist() == [BASOPHIL] * 2 + [EOSINOPHIL] * 4
    assert calls.identified.tolist() == [True] * 4 + [False] * 2
    assert calls.ood_scores is None


def test_images_unlike_the_training_images_are_unidentified(tree: Path) -> None:
    result, calls = evaluate(Choosy(), tree)
    assert result.unidentified == pytest.approx(4 / 6)
    assert result.unidentified_by_ood == pytest.approx(2 / 6)
    assert result.errors_among_unidentified == pytest.approx(1 / 4)
    assert result.errors_unidentified == 1.0
    assert calls.ood_scores is not None
    assert calls.ood_scores[[2, 3]] == pytest.approx(255 / 128, rel=0.02)
    in_force = next(row for row in result.thresholds if row.in_force)
    assert in_force.review == pytest.approx(4 / 6)
    assert (in_force.errors_in_review, in_force.errors_counted) == (1.0, 0.0)


def test_what_cannot_be_read_is_counted(tree: Path) -> None:
    (tree / "basophil" / "8.jpg").mkdir()
    result, _ = evaluate(Redness(), tree)
    assert result.refused == {"empty": 1, "unreadable": 1}


def test_scores_where_nothing_is_unidentified() -> None:
    scores = score(np.eye(8), np.arange(8), np.ones(8, bool))
    assert scores.accuracy == scores.macro_recall == scores.accuracy_of_identified == 1.0
    assert scores.unidentified == scores.expected_calibration_error == 0.0
    assert scores.errors_among_unidentified is None
    assert scores.errors_unidentified is None


def test_scores_where_everything_is_unidentified() -> None:
    scores = score(np.full((4, 8), 1 / 8), np.arange(4), np.zeros(4, bool))
    assert scores.unidentified == 1.0
    assert scores.accuracy_of_identified is None
    assert scores.errors_among_unidentified == 0.75
    assert scores.errors_unidentified == 1.0


def test_unidentified_is_what_the_classifier_says_whatever_the_confidence() -> None:
    # three wrong calls of four, all of full confidence; two of the wrong ones and the right one are unidentified
    scores = score(np.eye(8)[[0, 0, 0, 0]], np.array([0, 1, 2, 3]), np.array([False, False, False, True]))
    assert scores.unidentified == 0.75
    assert scores.errors_among_unidentified == pytest.approx(2 / 3)
    assert scores.errors_unidentified == pytest.approx(2 / 3)
    assert scores.accuracy_of_identified == 0.0


def confusion(rows: dict[int, dict[int, int]]) -> list[list[int]]:
    return [[rows.get(row, {}).get(column, 0) for column in range(8)] for row in range(8)]


def test_intervals_of_shares_are_exact() -> None:
    found = intervals(confusion({0: {0: 90, 1: 10}, 1: {1: 50}}))
    for interval, (count, total) in {
        found.accuracy: (140, 150),
        found.classes[CellClass.BASOPHIL].recall: (90, 100),
        found.classes[CellClass.BASOPHIL].precision: (90, 90),
        found.classes[CellClass.EOSINOPHIL].recall: (50, 50),
        found.classes[CellClass.EOSINOPHIL].precision: (50, 60),
    }.items():
        exact = clopper_pearson(count, total)
        assert interval is not None
        assert (interval.low, interval.high) == pytest.approx((exact.low / 100, exact.high / 100))


def test_what_was_never_seen_or_called_has_no_interval() -> None:
    found = intervals(confusion({0: {1: 5}, 1: {1: 5}})).classes
    assert found[CellClass.BASOPHIL].precision is None
    assert found[CellClass.BASOPHIL].recall is not None
    f1 = found[CellClass.BASOPHIL].f1
    assert f1 is not None
    assert f1.low == 0.0
    assert f1.high == pytest.approx(2 * 0.5218 / 1.5218, abs=1e-4)
    platelet = found[CellClass.PLATELET]
    assert (platelet.precision, platelet.recall, platelet.f1) == (None, None, None)


def test_intervals_agree_with_the_bootstrap_where_that_is_good() -> None:
    counts = np.array(confusion({k: {k: 800, (k + 1) % 8: 150, (k + 3) % 8: 50} for k in range(8)}))
    drawn = np.random.default_rng(11).multinomial(counts.sum(), counts.ravel() / counts.sum(), 4000).reshape(-1, 8, 8)
    right = np.diagonal(drawn, 0, 1, 2)
    f1 = 2 * right / (drawn.sum(axis=1) + drawn.sum(axis=2))
    macro_recall = (right / drawn.sum(axis=2)).mean(axis=1)
    found = intervals(counts.tolist())
    for interval, values in (
        (found.macro_recall, macro_recall),
        (found.classes[CellClass.BASOPHIL].f1, f1[:, BASOPHIL]),
    ):
        assert interval is not None
        # the exact interval of F1 takes the number of images concerned as given, so it is somewhat wider
        assert [interval.low, interval.high] == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=0.006)


def test_intervals_keep_their_width_where_every_call_is_right() -> None:
    found = intervals(confusion({k: {k: 20} for k in range(8)}))
    assert found.macro_recall.high == 1.0
    assert 0.9 < found.macro_recall.low < 0.97
    of_class = found.classes[CellClass.IG]
    assert of_class.f1 is not None
    assert of_class.f1.low == pytest.approx(2 * 0.8316 / 1.8316, abs=1e-4)
    assert of_class.f1.high == 1.0


def test_the_interval_of_one_class_alone_is_that_of_its_recall() -> None:
    found = intervals(confusion({2: {2: 7, 3: 3}}))
    recall = found.classes[CellClass.ERYTHROBLAST].recall
    assert recall is not None
    assert [found.macro_recall.low, found.macro_recall.high] == pytest.approx([recall.low, recall.high])


def calls_of(confidences: list[float], wrong: list[int], identified: list[bool]) -> Calls:
    """Return calls of basophils, those at the positions `wrong` of eosinophils."""
    probabilities = np.zeros((len(confidences), 8))
    probabilities[:, BASOPHIL] = confidences
    probabilities[:, 2:] = (1 - np.array(confidences))[:, np.newaxis] / 6
    labels = np.zeros(len(confidences), np.int64)
    labels[wrong] = EOSINOPHIL
    paths = tuple(Path(f"{i}.jpg") for i in range(len(confidences)))
    return Calls(paths, labels, probabilities, np.array(identified), None)


def row(
    threshold: float, review: float, in_review: float | None, counted: float | None, *, in_force: bool = False
) -> ThresholdRow:
    return ThresholdRow(threshold, in_force, review, in_review, counted)


def test_what_thresholds_cost() -> None:
    calls = calls_of([0.45, 0.55, 0.85, 0.97, 0.97], [0, 3], [False, False, True, True, False])
    rows = {each.threshold: each for each in threshold_rows(calls, 0.6)}
    assert list(rows) == [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]
    assert [rows[threshold].review for threshold in (0.5, 0.6, 0.9)] == pytest.approx([0.2, 0.6, 0.6])
    assert rows[0.5] == row(0.5, rows[0.5].review, 0.5, 0.25)
    assert rows[0.6] == row(0.6, rows[0.6].review, 0.5, 0.5, in_force=True)
    assert rows[0.9] == row(0.9, rows[0.9].review, 0.5, 0.5)
    assert rows[0.99] == row(0.99, 1.0, 1.0, None)


def test_a_threshold_between_is_listed_in_its_place() -> None:
    rows = threshold_rows(calls_of([0.9], [], [True]), 0.91)
    assert [row.threshold for row in rows] == [0.5, 0.6, 0.7, 0.8, 0.9, 0.91, 0.95, 0.99]
    assert [row.in_force for row in rows].index(True) == 5
    assert {row.errors_in_review for row in rows} == {None}


def test_ood_probes(tree: Path) -> None:
    found = {scores.name: scores for scores in evaluate(Redness(), tree)[0].ood_probes}
    assert list(found) == [probe.name for probe in PROBES]
    assert found["white"] == OodScores("white", "no cell", 6, 0.0, {CellClass.BASOPHIL: 6})
    assert found["black"] == OodScores("black", "no cell", 6, 1.0, {})
    # red and lime become cyan and magenta, and blue, no longer unidentified, yellow
    assert found["inverted"].unidentified == 0.0
    assert list(found["inverted"].called.items()) == [(CellClass.BASOPHIL, 4), (CellClass.EOSINOPHIL, 2)]
    assert found["mirrored"].unidentified == pytest.approx(2 / 6)


def test_ood_probes_are_the_same_every_time(tree: Path) -> None:
    assert evaluate(Redness(), tree)[0].ood_probes == evaluate(Redness(), tree)[0].ood_probes


def test_ood_probes_are_made_from_all_classes_alike() -> None:
    labels = np.repeat([0, 1, 5], [100, 3, 40])
    chosen = spread(labels, 64)
    assert np.bincount(labels[chosen]).tolist() == [21, 3, 0, 0, 0, 21]
    assert (chosen[0], chosen[20], chosen[21]) == (0, 99, 100)
    assert len(spread(np.repeat(np.arange(8), 500), 64)) == 64


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


@pytest.fixture
def evaluation(tree: Path) -> Evaluation:
    """What the tree of six images gives."""
    return evaluate(Redness(), tree)[0]


def printed(evaluation: Evaluation) -> str:
    """Return what a pipe receives: no terminal, 100 columns."""
    console = Console(width=100, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(evaluation_table(evaluation))
    return capture.get()


def test_nothing_is_printed_beside_the_result(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(Redness(), tree)
    assert capsys.readouterr() == ("", "")


def test_the_table(evaluation: Evaluation) -> None:
    lines = printed(evaluation).splitlines()
    text = [" ".join(line.split()) for line in lines]
    assert "Accuracy 83.3 (35.9-99.6) %" in text
    assert "Balanced accuracy (macro recall) 83.3 (37.8-99.6) %" in text
    assert "Threshold 0.7: 33.3 % of the cells go to review; 0.0 % of the errors are among them." in text
    assert "Refused 1 empty" in text
    assert "Basophil 3 100.0 (15.8-100.0) 66.7 (9.4-99.2) 80.0 (17.2-99.6)" in text
    assert "Platelet 0 - - -" in text
    assert "Eosinophil . 3 . . . . . ." in text
    assert "0.7 in force 33.3 0.0 of all 25.00" in text
    assert "white no cell 6 0.0 6 Basophil (6)" in text
    assert "black no cell 6 100.0 0 -" in text
    assert max(map(len, lines)) <= 100


def test_the_table_is_ascii_beside_its_lines(evaluation: Evaluation) -> None:
    # the names of the probes may hold other characters
    text = printed(dataclasses.replace(evaluation, ood_probes=()))
    assert text.replace("─", "").isascii()


def test_the_table_without_mistakes(evaluation: Evaluation) -> None:
    text = printed(dataclasses.replace(evaluation, errors_unidentified=None, unidentified_by_ood=0.25, refused={}))
    assert "33.3 % of the cells go to review; no call is wrong" in text
    assert "25.0 % of the cells, though confident enough" in text
    assert "Refused" not in text


def test_json(evaluation: Evaluation, tree: Path) -> None:
    found = json.loads(report_json(evaluation))
    assert list(found) == [
        "images", "accuracy", "macro_recall", "classes", "confusion", "expected_calibration_error", "unidentified",
        "errors_among_unidentified", "errors_unidentified", "accuracy_of_identified", "model", "intervals", "thresholds",
        "unlike", "strangers", "shifts", "refused", "decode_per_second", "network_per_second",
    ]  # fmt: skip
    assert list(found["model"]) == [
        "name",
        "version",
        "sha256",
        "preprocessing",
        "threshold",
        "card_sha256",
        "weights_sha256",
    ]
    assert found["images"] == 6
    assert found["classes"]["basophil"]["f1"] == pytest.approx(0.8)
    assert found["intervals"]["classes"]["basophil"]["f1"]["low"] == pytest.approx(0.172, abs=1e-3)
    assert found["intervals"]["classes"]["platelet"]["f1"] is None
    assert found["errors_unidentified"] == 0.0
    assert found["thresholds"][2]["in_force"] is True
    assert {"name": "white", "family": "no cell", "images": 6, "unidentified": 0.0, "called": {"basophil": 6}} in (
        found["strangers"]
    )
    assert found["model"]["name"] == "redness"
    # a folder's name may identify a patient
    assert str(tree) not in report_json(evaluation)
