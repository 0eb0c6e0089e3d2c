"""What of the export needs no TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

from smearcount.differential.classes import CellClass
from smearcount.models.card import Confusion
from smearcount.models.errors import RuntimeMissing
from smearcount.models.evaluation.scores import ClassScores, Scores
from smearcount.models.training.card_figures import confusions_of, metrics_of
from smearcount.models.training.export import load_trained
from smearcount.models.training.release import LIMITS, Release


@pytest.fixture
def scores() -> Scores:
    """Scores in which two neutrophils were called IG and one monocyte was called lymphocyte."""
    order = list(CellClass)
    confusion = [[10 if row == column else 0 for column in range(8)] for row in range(8)]
    confusion[order.index(CellClass.MONOCYTE)][order.index(CellClass.LYMPHOCYTE)] = 1
    confusion[order.index(CellClass.NEUTROPHIL)][order.index(CellClass.IG)] = 2
    return Scores(
        images=83,
        accuracy=80 / 83,
        macro_recall=0.97,
        classes=dict.fromkeys(CellClass, ClassScores(10, 1.0, 2 / 3, 1.0)),
        confusion=tuple(tuple(row) for row in confusion),
        expected_calibration_error=0.01,
        unidentified=0.0,
        errors_among_unidentified=None,
        errors_unidentified=0.0,
        accuracy_of_identified=80 / 83,
    )


def test_the_files_are_named_by_major_version_and_form() -> None:
    assert Release("smearcount", "1.2.3").stem == "smearcount-1"
    assert Release("smearcount", "1.2.3", precision="int8").stem == "smearcount-1-int8"
    assert Release("smearcount", "1.2.3", runtime="keras").stem == "smearcount-1-keras"


def test_the_worst_confusion_comes_first(scores: Scores) -> None:
    assert confusions_of(scores) == (
        Confusion(truth=CellClass.NEUTROPHIL, called=CellClass.IG, images=2),
        Confusion(truth=CellClass.MONOCYTE, called=CellClass.LYMPHOCYTE, images=1),
    )


def test_figures_are_rounded(scores: Scores) -> None:
    metrics = metrics_of(scores)
    assert metrics.accuracy == 0.9639
    assert metrics.recall[CellClass.IG] == 0.6667
    assert metrics.errors_among_unidentified is None


def test_the_limits_are_stated() -> None:
    assert any("research use" in limit for limit in LIMITS)


@pytest.mark.parametrize("missing", ["keras", "tensorflow"])
def test_without_tensorflow_it_is_said_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RuntimeMissing, match="pip install tensorflow"):
        load_trained(tmp_path / "network.keras")


def test_what_workers_import_brings_no_tensorflow() -> None:
    script = (
        "import sys\n"
        "from smearcount.models.catalogue import registry\n"
        "from smearcount.models.evaluation import evaluation\n"
        "from smearcount.models.inference import classifier, keras_runtime, litert\n"
        "from smearcount.models.training import export, importing, train\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])


def test_asking_for_a_card_loads_no_runtime() -> None:
    script = (
        "import sys\n"
        "from smearcount.models.inference import classifier\n"
        "assert not [name for name in sys.modules if name.startswith('ai_edge_litert')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])
