"""`smearcount model` where Matplotlib, which only draws figures, is not installed."""

import json
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from smearcount.cli.commands.model import model
from smearcount.differential.classes import CellClass
from smearcount.models.errors import ModelsError
from smearcount.models.evaluation import evaluation, figures
from smearcount.models.training import train as training

REMEDY = "pip install 'smearcount[evaluate]'"


class _Hidden(MetaPathFinder):
    """An import hook that lets nobody find Matplotlib."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None  # the finders after this one may know it


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide Matplotlib as if it were not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Hidden(), *sys.meta_path])


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """Two noisy images in each of two classes."""
    rng = np.random.default_rng(1)
    for label in (CellClass.MONOCYTE, CellClass.PLATELET):
        folder = tmp_path / "cells" / label
        folder.mkdir(parents=True)
        for number in range(2):
            Image.fromarray(rng.integers(0, 256, (363, 360, 3), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "cells"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Runner":
    """Run the command with a data folder of its own."""
    monkeypatch.setenv("SMEARCOUNT_DATA", str(tmp_path / "data"))
    return Runner()


class Runner:
    """Runs `smearcount model` in this process."""

    def __call__(self, *arguments: object) -> Result:
        """Run a command of it."""
        return CliRunner().invoke(model, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.mark.usefixtures("no_matplotlib")
def test_evaluate_works_without_figures_and_says_so_first(run: Runner, cells: Path, tmp_path: Path) -> None:
    done = run("evaluate", cells, "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["images"] == 4
    first, last = done.stderr.splitlines()
    assert first.startswith("no figures are drawn: Matplotlib cannot be loaded")
    assert first.endswith(REMEDY)
    assert last.startswith("evaluation.json: ")
    (report,) = (tmp_path / "data" / "evaluations").rglob("*.*")
    assert json.loads(report.read_text())["images"] == 4


@pytest.mark.usefixtures("no_matplotlib")
def test_evaluate_with_a_report_folder_refuses_before_any_work(
    run: Runner, cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def worked(*_: object) -> None:
        pytest.fail("it began to work")

    monkeypatch.setattr(evaluation, "evaluate", worked)
    refused = run("evaluate", cells, "--report", tmp_path / "report")
    assert refused.exit_code == 1
    assert REMEDY in str(refused.exception)
    assert "\n" not in str(refused.exception)
    assert not (tmp_path / "report").exists()


@pytest.mark.slow
def test_evaluate_draws_where_it_can(run: Runner, cells: Path, tmp_path: Path) -> None:
    done = run("evaluate", cells, "--report", tmp_path / "report")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "report").glob("*.png"))) == 4
    assert done.stderr.splitlines() == [f"figures and evaluation.json: {tmp_path / 'report'}"]


def trained(_images: Path, run_dir: Path, *_: object, **__: object) -> Path:
    """Stand in for hours of training; the log is one that no curve can be drawn from."""
    print("trained")
    run_dir.mkdir()
    return run_dir / "network.keras"


@pytest.mark.usefixtures("no_matplotlib")
def test_training_says_first_that_the_curve_will_be_missing_and_ends_well(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train", trained)
    done = run("train", tmp_path, tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == ["trained", str(tmp_path / "run" / "network.keras")]
    (said,) = done.stderr.splitlines()
    assert said.startswith("the training curve is not drawn: Matplotlib cannot be loaded")
    assert said.endswith(REMEDY)
    assert done.output.index(said) < done.output.index("trained")


def test_training_does_not_fail_for_want_of_a_picture(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ModelsError("no space left")

    monkeypatch.setattr(training, "train", trained)
    monkeypatch.setattr(figures, "training_curve", fail)
    done = run("train", tmp_path, tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines() == ["the training curve is not drawn: no space left"]
    assert done.stdout.splitlines()[-1] == str(tmp_path / "run" / "network.keras")
