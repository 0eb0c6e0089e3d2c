"""The script of a data scientist: Keras reads the folders and predicts, without queue and database.

    PYTHONPATH=tests python -m benchmarks.script FOLDER seed|ours

Prints the images per second, from the first look at the folder to the last prediction; loading TensorFlow does not count.
"""

# ruff: noqa: PLC0415  (a script; TensorFlow takes seconds to load)

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.pipeline import BenchmarkFailed

#: Side of the images of the two networks, in pixels.
SIDES = {"seed": 300, "ours": 128}


def images_per_second(folder: Path, network: str) -> float:
    """Run this script in a process of its own.

    Raises:
        BenchmarkFailed: The script failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.script", str(folder), network], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"the script failed: {done.stderr.strip()[-500:]}")
    return float(done.stdout.split()[-1])


def _predict(folder: str, network: str) -> float:
    import keras

    from smearcount.models.training.network import build_network
    from smearcount.models.training.seed_network import build_seed_network

    # Random weights cost the same as trained ones.
    model = build_seed_network() if network == "seed" else build_network()
    side = SIDES[network]
    start = time.monotonic()
    images = keras.utils.image_dataset_from_directory(
        folder, labels=None, label_mode=None, image_size=(side, side), batch_size=32, shuffle=False, verbose=False
    )
    predicted = model.predict(images, verbose=0)
    return len(predicted) / (time.monotonic() - start)


if __name__ == "__main__":
    print(_predict(*sys.argv[1:]))
