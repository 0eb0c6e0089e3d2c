"""What every training run does so that an interrupted one can go on as if nothing had been."""

# ruff: noqa: PLC0415  (TensorFlow is optional and takes seconds to load: it is imported where it is used)

from pathlib import Path
from typing import Any

from smearcount.files.atomic import write_whole
from smearcount.models.errors import ModelsError


def hold_to_recipe(run_dir: Path, recipe: str) -> None:
    """Make the run's folder, and keep in it what the run is made by.

    Raises:
        ModelsError: it holds a run of another recipe.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / "recipe.json"
    if not path.exists():
        write_whole(path, recipe.encode())
    elif path.read_text() != recipe:
        raise ModelsError(f"{run_dir} holds a run of another recipe; choose another folder or delete this one")


def seed_dropout(network: Any, seed: int, epoch: int) -> None:
    """Let the epoch alone decide what is dropped: a .keras file does not keep how far the random numbers have come."""
    import keras

    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([seed + epoch, 0])
