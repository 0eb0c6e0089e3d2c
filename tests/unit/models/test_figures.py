"""The pictures of an evaluation and of a training run: that they are there, and show what they should."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smearcount.differential.classes import CellClass
from smearcount.differential.model import ModelUsed
from smearcount.models.errors import ModelsError, RuntimeMissing
from smearcount.models.evaluation.calls import Calls
from smearcount.models.evaluation.evaluation import Evaluation
from smearcount.models.evaluation.figures import (
    _confusion,
    _mistakes,
    _reliability,
    _risk_coverage,
    require_matplotlib,
    training_curve,
    write_report,
)
from smearcount.models.evaluation.intervals import intervals
from smearcount.models.evaluation.scores import score
from smearcount.models.evaluation.thresholds import threshold_rows

pytestmark = pytest.mark.slow

FIGURES = ["confusion.png", "reliability.png", "risk_coverage.png", "mistakes.png"]
ORDER = list(CellClass)
NEUTROPHIL, IG = ORDER.index(CellClass.NEUTROPHIL), ORDER.index(CellClass.IG)

LOG = """epoch,side,loss,validation_accuracy,seconds
1,96,1.9,,1800
2,96,1.1,0.9,1800
3,128,0.8,,1800
4,128,0.7,0.955,1800
"""


@pytest.fixture
def cell(tmp_path: Path) -> Path:
    """An image as the analyzer exports it."""
    return purple_cell(tmp_path)


def purple_cell(folder: Path) -> Path:
    path = folder / "cell.png"
    Image.new("RGB", (360, 363), "purple").save(path)
    return path


def calls_of(cell: Path, confidences: list[float], wrong: int) -> Calls:
    """Return calls of neutrophils, the first `wrong` of which are immature granulocytes; counted from 0.7 on."""
    probabilities = np.zeros((len(confidences), 8))
    probabilities[:, NEUTROPHIL] = confidences
    probabilities[:, IG] = 1 - np.array(confidences)
    labels = np.full(len(confidences), NEUTROPHIL)
    labels[:wrong] = IG
    return Calls((cell,) * len(confidences), labels, probabilities, np.array(confidences) >= 0.7, None)


def evaluation_of(calls: Calls) -> Evaluation:
    scores = score(calls.probabilities, calls.labels, calls.identified)
    return Evaluation(
        **vars(scores),
        model=ModelUsed(name="drawn", version="1.2.3", sha256="0" * 64, preprocessing="none", threshold=0.7),
        intervals=intervals(scores.confusion),
        thresholds=threshold_rows(calls, 0.7),
        unidentified_by_ood=None,
        ood_probes=(),
        shifts=(),
        refused={},
        decode_per_second=1.0,
        network_per_second=1.0,
    )


def ten_calls(cell: Path) -> Calls:
    """Return ten calls, three of them wrong, two of those under the threshold."""
    return calls_of(cell, [0.65, 0.95, 0.55, 0.6, 0.85, 0.9, 0.92, 0.97, 0.99, 1.0], 3)


@pytest.fixture
def calls(cell: Path) -> Calls:
    """Ten calls, three of them wrong."""
    return ten_calls(cell)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The files of a report on the ten calls."""
    folder = tmp_path_factory.mktemp("figures")
    calls = ten_calls(purple_cell(folder))
    return write_report(evaluation_of(calls), calls, folder / "new" / "report")


def test_the_report_is_written(report: tuple[Path, ...]) -> None:
    assert [path.name for path in report] == ["evaluation.json", *FIGURES]
    assert sorted(report[0].parent.iterdir()) == sorted(report)
    assert json.loads(report[0].read_text())["accuracy"] == 0.7
    for path in report[1:]:
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            assert image.width >= 800
            assert image.height >= 300
            assert len(image.getcolors(2**24) or ()) > 50, path


def test_other_calls_give_other_figures(tmp_path: Path, cell: Path, report: tuple[Path, ...]) -> None:
    other = calls_of(cell, [0.75, 0.95, 0.55, 0.6, 0.85, 0.9, 0.92, 0.97, 0.99, 1.0], 4)
    for one, another in zip(report, write_report(evaluation_of(other), other, tmp_path / "report"), strict=True):
        if one.suffix == ".png":
            with Image.open(one) as before, Image.open(another) as after:
                assert before.tobytes() != after.tobytes(), one


def test_the_confusion_is_counted_and_in_percent(calls: Calls) -> None:
    axes = _confusion(evaluation_of(calls)).axes[0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((NEUTROPHIL, NEUTROPHIL), "7\n100.0 %"),
        ((NEUTROPHIL, IG), "3\n100.0 %"),
    }
    assert axes.get_yticklabels()[IG].get_text() == "Immature\ngranulocyte\n3"
    assert axes.get_title() == "drawn 1.2.3: 10 images, 70.0 % called rightly"


def test_reliability_counts_every_bin(calls: Calls) -> None:
    top, bottom = _reliability(evaluation_of(calls), calls).axes
    assert "expected calibration error" in top.get_title()
    assert [text.get_text() for text in bottom.texts if text.get_text()] == ["2", "1", "1", "2", "4"]


def test_risk_and_coverage_mark_the_threshold_in_force(calls: Calls) -> None:
    figure = _risk_coverage(evaluation_of(calls), calls)
    assert figure.get_suptitle() == (
        "drawn 1.2.3, threshold 0.7: 30.0 % of the cells go to review; 66.7 % of the errors are among them"
    )
    for axes, share in zip(figure.axes, (100 / 7, 200 / 3), strict=True):
        (marked,) = [line for line in axes.lines if line.get_label() == "in force: 0.7"]
        assert np.array(marked.get_xydata()).ravel().tolist() == pytest.approx([30, share])


def test_the_worst_mistakes_come_first(calls: Calls) -> None:
    figure = _mistakes(calls)
    assert figure.get_suptitle() == "All 3 mistakes among 10 images: label, call, confidence"
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == [
        f"Immature gran.\n→ Neutrophil\n{confidence}" for confidence in ("0.950", "0.650", "0.550")
    ]
    assert len({axes.title.get_color() for axes in figure.axes[:2]}) == 2  # the second is left for review


def test_the_contact_sheet_ends_somewhere(cell: Path) -> None:
    calls = calls_of(cell, np.linspace(0.55, 0.95, 50).tolist(), 50)
    figure = _mistakes(calls)
    assert figure.get_suptitle() == "The 40 most confident of 50 mistakes among 50 images: label, call, confidence"
    assert len([axes for axes in figure.axes if axes.images]) == 40


def test_without_mistakes(cell: Path) -> None:
    calls = calls_of(cell, [0.6, 0.9, 1.0], 0)
    assert _mistakes(calls).get_suptitle() == "No mistakes among 3 images"
    figure = _risk_coverage(evaluation_of(calls), calls)
    assert [text.get_text() for text in figure.axes[1].texts] == ["no call is wrong"]
    figure.draw_without_rendering()


def test_where_nothing_is_counted(cell: Path) -> None:
    calls = calls_of(cell, [0.55, 0.6], 1)
    figure = _risk_coverage(evaluation_of(calls), calls)
    assert [line.get_label() for line in figure.axes[0].lines if "in force" in str(line.get_label())] == []
    figure.draw_without_rendering()


def test_a_report_that_cannot_be_written(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelsError, match="cannot be written"):
        write_report(evaluation_of(calls), calls, tmp_path / "file")


def test_the_training_curve(tmp_path: Path) -> None:
    log, png = tmp_path / "log.csv", tmp_path / "curve.png"
    pictures = set()
    # an accuracy in some epochs, in none, and no such column
    for text in (LOG, LOG.replace("0.955", "").replace(",0.9,", ",,"), "epoch,side,loss,seconds\n1,96,0.9,60\n"):
        log.write_text(text)
        training_curve(log, png)
        pictures.add(png.read_bytes())
        with Image.open(png) as image:
            image.load()
            assert image.size == (990, 770)
    assert len(pictures) == 3


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("", "no epoch yet"),
        ("epoch,side,loss,validation_accuracy,seconds\n", "no epoch yet"),
        ("epoch,loss\n1,0.5\n", "no training log"),
        ("epoch,side,loss,validation_accuracy,seconds\n1,96,low,,3\n", "no training log"),
        ("epoch,side,loss,validation_accuracy,seconds\n1,96\n", "no training log"),
    ],
)
def test_a_log_that_is_none(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ModelsError, match=reason) as refused:
        training_curve(tmp_path / "log.csv", tmp_path / "curve.png")
    assert "log.csv" in str(refused.value)
    assert not (tmp_path / "curve.png").exists()


def test_a_curve_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    with pytest.raises(ModelsError, match="cannot be written"):
        training_curve(tmp_path / "log.csv", tmp_path / "nowhere" / "curve.png")


def test_without_matplotlib_the_message_says_how_to_get_it(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RuntimeMissing, match=r"pip install 'smearcount\[evaluate\]'"):
        write_report(evaluation_of(calls), calls, tmp_path / "report")
    assert not (tmp_path / "report").exists()
    with pytest.raises(RuntimeMissing, match="evaluate"):
        require_matplotlib()
    (report,) = write_report(evaluation_of(calls), calls, tmp_path / "report", draw=False)
    assert [path.name for path in (tmp_path / "report").iterdir()] == [report.name] == ["evaluation.json"]


def test_matplotlib_is_loaded_late_and_without_pyplot(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    script = (
        "import sys, pathlib\n"
        "from smearcount.models.evaluation import figures\n"
        "assert 'matplotlib' not in sys.modules\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "figures.training_curve(folder / 'log.csv', folder / 'curve.png')\n"
        "assert 'matplotlib.figure' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=Path(__file__).parents[3])
