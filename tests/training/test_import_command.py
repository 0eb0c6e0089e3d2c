"""`smearcount model import` of a site's own Keras model, as a lab scientist uses it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from smearcount.differential.classes import CellClass

from support.running import Smearcount

_SITE_MODEL = """
import sys
import keras, numpy as np
colours = np.array(eval(sys.argv[1]), np.float32) / 255
inputs = keras.Input((128, 128, 3))
x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(inputs))
dense = keras.layers.Dense(8, activation="softmax")
outputs = dense(x)
dense.set_weights([20 * colours.T, -10 * (colours**2).sum(axis=1)])
keras.Model(inputs, outputs).save(sys.argv[2])
"""


def test_a_sites_keras_model_is_imported_and_counts(smearcount: Smearcount, tmp_path: Path) -> None:
    colours = {
        label: (30 + 28 * number, 240 - 28 * number, 20 + 90 * (number % 3)) for number, label in enumerate(CellClass)
    }
    for label, colour in colours.items():
        (tmp_path / "labelled" / label).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (360 + number, 363), colour).save(tmp_path / "labelled" / label / f"{number}.png")
    network = tmp_path / "site.keras"
    subprocess.run([sys.executable, "-c", _SITE_MODEL, repr(list(colours.values())), network], check=True)
    given = [network, "--name", "site", "--version", "1.0.0", "--validation", tmp_path / "labelled"]

    wrong = smearcount.run("model", "import", *given, "--classes", ",".join(list(CellClass)[::-1]))
    assert wrong.returncode == 1
    assert "--classes" in wrong.stderr
    assert not (smearcount.data / "models").exists(), "nothing of a refused model is kept"

    done = smearcount.run("model", "import", *given)
    assert done.returncode == 0, done.stderr
    assert smearcount.run("model", "use", "site-1").returncode == 0
    inbox = tmp_path / "inbox"
    shutil.copytree(tmp_path / "labelled" / "monocyte", inbox / "S1")
    assert smearcount.run("up", inbox, "--once").returncode == 0
    counts = json.loads(smearcount.run("counts", "S1", "--format", "json").stdout)
    assert counts["model"]["name"] == "site"
    assert counts["cells"]["monocyte"] == 3

    again = smearcount.run("model", "import", *given)
    assert again.returncode == 1
    assert "another name" in again.stderr
