"""Checkpoints of a training run: it can be cut off at any moment and goes on as if nothing had happened.

A run's folder holds

| file | what it is |
| --- | --- |
| `recipe.json` | what the run is made by; a run of another recipe is refused |
| `epoch-NN.keras` | the network after an epoch, with the optimizer's state |
| `progress.json` | the figures of all finished epochs, and the SHA-256 of every file that counts |
| `log.csv` | the same figures for people |
| `network.keras` and others | the results of the finished run |

Replacing `progress.json` is the one step that makes an epoch count: it names the epoch's network by its SHA-256 together
with the epoch's figures. A crash before that step leaves the run as it was after the epoch before, and a crash after it
leaves the run with the epoch finished. So no epoch is left out and none is applied twice, and what a crash has left behind
is named by nothing: it is ignored and removed. `log.csv` is written from `progress.json`, never read.
"""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

import csv
import hashlib
import io
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from smearcount.files.atomic import replace_file
from smearcount.models.errors import ModelsError
from smearcount.models.training.conversion import keras_bytes

#: The figures of one epoch by their column in the log: `epoch` counts from 1, None stands for what was not measured.
Row = dict[str, int | float | None]

#: How a run's folder is laid out; runs of earlier versions of smearcount have another layout and cannot be resumed.
_LAYOUT = 2


class _Progress(BaseModel):
    """The content of progress.json."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")

    #: One row per finished epoch.
    epochs: tuple[Row, ...] = ()
    #: SHA-256 of the networks that are still needed, by the names of their files.
    checkpoints: dict[str, str] = {}
    #: SHA-256 of the finished run's results, by the names of their files; empty before the end.
    results: dict[str, str] = {}


def require_same_recipe(run_dir: Path, recipe: Mapping[str, object]) -> None:
    """Make the run's folder if needed, and keep in it what the run is made by.

    Args:
        run_dir: the folder.
        recipe: everything that decides what weights come out, apart from the images; JSON can hold it.

    Raises:
        ModelsError: the folder holds a run of another recipe.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / "recipe.json"
    content = json.dumps({"layout": _LAYOUT, **recipe}, indent=2).encode()
    if not path.exists():
        replace_file(path, content)
    elif path.read_bytes() != content:
        raise ModelsError(f"{run_dir} holds a run of another recipe; choose another folder or delete this one")


class Checkpoints:
    """The finished epochs and the results of one run. One process at a time works with a run's folder."""

    def __init__(self, run_dir: Path, recipe: Mapping[str, object]) -> None:
        """Open a run's folder, made if needed, and remove what a crash has left in it.

        Raises:
            ModelsError: the folder holds a run of another recipe, or its progress.json is damaged.
        """
        require_same_recipe(run_dir, recipe)
        self._folder = run_dir
        self._progress = _read_progress(run_dir / "progress.json")
        self._remove_leftovers()
        self._write_log()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The figures of the finished epochs."""
        return self._progress.epochs

    @property
    def is_finished(self) -> bool:
        """Whether the run's results are all there.

        Raises:
            ModelsError: a result is not as the run left it.
        """
        results = self._progress.results
        if not results or not all((self._folder / name).exists() for name in results):
            return False
        for name, sha256 in results.items():
            if _sha256(self._folder / name) != sha256:
                raise ModelsError(
                    f"{self._folder / name} is damaged or was changed; delete it, and the same command writes it anew"
                )
        return True

    def verified(self, epoch: int) -> Path:
        """Return the file of the network after an epoch (from 1), once it is known to be as the run left it.

        Raises:
            ModelsError: it is missing, damaged, or another one.
        """
        path = self._folder / _file_of(epoch)
        found = _sha256(path)
        if found is None or found != self._progress.checkpoints.get(path.name):
            raise ModelsError(f"{path} is missing or damaged; delete its folder and train anew")
        return path

    def load(self, epoch: int, custom_objects: Mapping[str, object] | None = None) -> Any:
        """Return the Keras network as it was after an epoch (from 1), with the optimizer's state.

        Args:
            epoch: the last finished one, or one that was kept.
            custom_objects: what the network was compiled with that is not Keras's own, by name.

        Raises:
            ModelsError: its file is missing, damaged, or another one.
        """
        import keras

        path = self.verified(epoch)
        try:
            return keras.saving.load_model(path, custom_objects=custom_objects)
        except (OSError, ValueError) as error:
            raise ModelsError(f"{path} cannot be read ({error}); delete its folder and train anew") from None

    def finish_epoch(self, network: Any, row: Row, *, keep: Collection[int] = ()) -> None:
        """Make the epoch after the last finished one count.

        Args:
            network: the Keras network after it.
            row: its figures.
            keep: earlier epochs (from 1) whose networks are still needed; the others are removed.
        """
        epoch = len(self.rows) + 1
        name, content = _file_of(epoch), keras_bytes(network)
        replace_file(self._folder / name, content, durable=True)
        kept = {_file_of(one): self._progress.checkpoints[_file_of(one)] for one in sorted(set(keep) - {epoch})}
        checkpoints = kept | {name: hashlib.sha256(content).hexdigest()}
        self._keep(_Progress(epochs=(*self.rows, row), checkpoints=checkpoints))
        self._write_log()
        self._remove_leftovers()

    def finish(self, results: Mapping[str, bytes]) -> None:
        """Write the run's results, as contents by file name; the run is finished once all of them are on disk."""
        for name, content in results.items():
            replace_file(self._folder / name, content, durable=True)
        hashes = {name: hashlib.sha256(content).hexdigest() for name, content in results.items()}
        self._keep(self._progress.model_copy(update={"results": hashes}))

    def _keep(self, progress: _Progress) -> None:
        replace_file(self._folder / "progress.json", (progress.model_dump_json(indent=2) + "\n").encode(), durable=True)
        self._progress = progress

    def _write_log(self) -> None:
        if not self.rows:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0])
        writer.writeheader()
        writer.writerows(self.rows)
        path, content = self._folder / "log.csv", text.getvalue().encode()
        if not path.exists() or path.read_bytes() != content:
            replace_file(path, content)

    def _remove_leftovers(self) -> None:
        unnamed = {path for path in self._folder.glob("epoch-*.keras") if path.name not in self._progress.checkpoints}
        for path in unnamed | set(self._folder.glob(".*.part")):
            path.unlink()


def seed_dropout(network: Any, seed: int, epoch: int) -> None:
    """Let the epoch alone decide what is dropped: a .keras file does not keep how far the random numbers have come."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed + epoch, 0])


def _file_of(epoch: int) -> str:
    return f"epoch-{epoch:02}.keras"


def _read_progress(path: Path) -> _Progress:
    try:
        return _Progress.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return _Progress()
    except (OSError, ValidationError) as error:
        raise ModelsError(f"{path} is damaged ({error}); delete its folder and train anew") from None


def _sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file's content, hexadecimal; None where there is no file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None
