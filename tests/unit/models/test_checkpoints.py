"""A run that is cut off at any step goes on as if nothing had happened; what is damaged is named, never used."""

import csv
import hashlib
import json
from pathlib import Path

import pytest

from smearcount.models.errors import ModelsError
from smearcount.models.training.checkpoints import Checkpoints, Row, require_same_recipe

from faults.crashing import Crash, crashing

RECIPE = {"network": "toy", "seed": 1, "sides": ((2, 32),)}
EPOCHS = 4
BEST = {1: {1}, 2: {1}, 3: {3}, 4: {3}}


class ToyNetwork:
    """Stands for a Keras network: its weights depend on every epoch, on their order and on how often each was trained."""

    def __init__(self, weights: bytes = b"start") -> None:
        self.weights = weights

    def save(self, path: Path) -> None:
        """Write the weights, as Keras's networks do."""
        path.write_bytes(self.weights)

    def train(self, epoch: int) -> None:
        """Change the weights."""
        self.weights = hashlib.sha256(self.weights + bytes([epoch])).digest() * 100


def run_to_the_end(run_dir: Path) -> None:
    """Train a toy, from where an earlier run was cut off."""
    run = Checkpoints(run_dir, RECIPE)
    if run.is_finished:
        return
    network = ToyNetwork(run.verified(len(run.rows)).read_bytes()) if run.rows else ToyNetwork()
    for epoch in range(len(run.rows) + 1, EPOCHS + 1):
        network.train(epoch)
        measured = 0.9 if epoch % 2 == 0 else None
        row: Row = {"epoch": epoch, "loss": round(1 / epoch, 4), "validation_accuracy": measured}
        run.finish_epoch(network, row, keep=BEST[epoch])
    best = run.verified(3).read_bytes()
    run.finish({"network.keras": network.weights, "best.keras": best})


def content_of(run_dir: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(run_dir.iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run_to_the_end(folder)
    return folder


def test_a_run_leaves_its_results_and_the_networks_still_needed(whole: Path) -> None:
    assert sorted(content_of(whole)) == [
        "best.keras", "epoch-03.keras", "epoch-04.keras", "log.csv", "network.keras", "progress.json", "recipe.json",
    ]  # fmt: skip
    network = ToyNetwork()
    for epoch in range(1, EPOCHS + 1):
        network.train(epoch)
    assert (whole / "network.keras").read_bytes() == network.weights
    with (whole / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["validation_accuracy"] for row in rows] == ["", "0.9", "", "0.9"]


def steps_of_a_run(folder: Path) -> int:
    with crashing(folder) as steps:
        run_to_the_end(folder / "run")
        return steps()


@pytest.mark.slow
def test_a_run_may_be_cut_off_at_every_step(whole: Path, tmp_path: Path) -> None:
    total = steps_of_a_run(tmp_path / "counted")
    assert total > 100
    for crash_at in range(1, total + 1):
        folder = tmp_path / f"cut-{crash_at}"
        with crashing(folder, crash_at), pytest.raises(Crash):
            run_to_the_end(folder / "run")
        run_to_the_end(folder / "run")
        assert content_of(folder / "run") == content_of(whole), crash_at


def test_a_run_may_be_cut_off_again_and_again(whole: Path, tmp_path: Path) -> None:
    folder, crashes = tmp_path / "run", 0
    for crash_at in range(1, 1000):
        try:
            with crashing(tmp_path, crash_at):
                run_to_the_end(folder)
        except Crash:
            crashes += 1
        else:
            break
    assert crashes > 20
    assert content_of(folder) == content_of(whole)


def test_a_finished_run_is_left_alone(whole: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in whole.iterdir()}
    run_to_the_end(whole)
    assert {path.name: path.stat().st_mtime_ns for path in whole.iterdir()} == before


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A finished run whose files may be changed."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, content in content_of(whole).items():
        (folder / name).write_bytes(content)
    return folder


def test_a_lost_result_is_written_anew(copy: Path, whole: Path) -> None:
    (copy / "network.keras").unlink()
    assert not Checkpoints(copy, RECIPE).is_finished
    run_to_the_end(copy)
    assert content_of(copy) == content_of(whole)


def test_a_lost_or_changed_log_is_written_anew(copy: Path, whole: Path) -> None:
    (copy / "log.csv").write_text("epoch\n7\n")
    Checkpoints(copy, RECIPE)
    assert content_of(copy) == content_of(whole)


def test_a_changed_result_is_neither_used_nor_overwritten(copy: Path) -> None:
    (copy / "network.keras").write_bytes(b"something else")
    with pytest.raises(ModelsError, match=r"network\.keras is damaged or was changed; delete it"):
        _ = Checkpoints(copy, RECIPE).is_finished
    assert (copy / "network.keras").read_bytes() == b"something else"


def test_a_file_that_no_run_has_finished_is_no_result(tmp_path: Path, whole: Path) -> None:
    run_dir = tmp_path / "run"
    require_same_recipe(run_dir, RECIPE)
    (run_dir / "network.keras").write_bytes(b"half a netw")
    run_to_the_end(run_dir)
    assert content_of(run_dir) == content_of(whole)


@pytest.mark.parametrize("damage", [b"", b"another network", None])
def test_a_damaged_checkpoint_is_named(copy: Path, damage: bytes | None) -> None:
    path = copy / "epoch-04.keras"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    run = Checkpoints(copy, RECIPE)
    with pytest.raises(ModelsError, match=r"epoch-04\.keras is missing or damaged"):
        run.verified(4)
    run.verified(3)
    with pytest.raises(ModelsError, match=r"epoch-01\.keras is missing"):
        run.verified(1)


@pytest.mark.parametrize("damage", ["", "{", '{"epochs": 3}', json.dumps({"unknown": 1})])
def test_a_damaged_progress_file_is_named(copy: Path, damage: str) -> None:
    (copy / "progress.json").write_text(damage)
    with pytest.raises(ModelsError, match=r"progress\.json is damaged"):
        Checkpoints(copy, RECIPE)


def test_the_folder_of_another_run_is_left_alone(copy: Path, whole: Path) -> None:
    with pytest.raises(ModelsError, match="another recipe; choose another folder or delete this one"):
        Checkpoints(copy, RECIPE | {"seed": 2})
    assert content_of(copy) == content_of(whole)


def test_a_loss_that_is_no_number_is_kept(tmp_path: Path) -> None:
    run = Checkpoints(tmp_path / "run", RECIPE)
    run.finish_epoch(ToyNetwork(), {"epoch": 1, "loss": float("nan")})
    (row,) = Checkpoints(tmp_path / "run", RECIPE).rows
    assert row["epoch"] == 1
    assert row["loss"] != row["loss"]
