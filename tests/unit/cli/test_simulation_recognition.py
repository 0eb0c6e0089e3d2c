"""The shipped network, trained on photographs only, recognises the drawn cells."""

import io

import numpy as np
import pytest

from smearcount.cli.simulation.drawing import draw_cell
from smearcount.cli.simulation.export import JPEG_QUALITY
from smearcount.differential.classes import CellClass
from smearcount.models.inference.classifier import load_classifier
from smearcount.models.preprocessing import decode_cell
from smearcount.models.settings import ModelSettings

EACH = 12


def as_exported(label: CellClass, seed: int) -> bytes:
    stream = io.BytesIO()
    draw_cell(label, np.random.default_rng((21, seed))).save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


@pytest.mark.slow
def test_nine_in_ten_drawn_cells_are_recognised() -> None:
    classifier = load_classifier(ModelSettings(), threads=1)
    recognised = {}
    for label in CellClass:
        pixels = np.stack([decode_cell(as_exported(label, seed)) for seed in range(EACH)])
        recognised[label] = sum(result.cell_class is label for result in classifier.classify(pixels)) / EACH
    assert np.mean(list(recognised.values())) >= 0.9, recognised
    assert min(recognised.values()) >= 0.75, recognised
