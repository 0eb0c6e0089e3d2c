"""Sub-types in file names, and their sum over a class."""

from pathlib import Path

import numpy as np
import pytest

from smearcount.differential.classes import CellClass
from smearcount.models.inference.classification import softmax
from smearcount.models.inference.subtypes import CLASS_OF_SUBTYPE, Subtype, class_logits, possible_outputs


def outputs(name: str, label: CellClass) -> set[Subtype]:
    flags = possible_outputs(Path("somewhere") / name, label)
    return {of for of, flag in zip(Subtype, flags, strict=True) if flag}


def test_every_output_has_its_class_and_every_class_an_output() -> None:
    assert len(CLASS_OF_SUBTYPE) == len(Subtype)
    assert set(CLASS_OF_SUBTYPE) == set(CellClass)


def test_the_name_tells_the_subtype() -> None:
    assert outputs("BNE_12.jpg", CellClass.NEUTROPHIL) == {Subtype.BAND_NEUTROPHIL}
    assert outputs("SNE_12.jpg", CellClass.NEUTROPHIL) == {Subtype.SEGMENTED_NEUTROPHIL}
    assert outputs("MMY_1.jpg", CellClass.IG) == {Subtype.METAMYELOCYTE}
    assert outputs("MY_1.jpg", CellClass.IG) == {Subtype.MYELOCYTE}
    assert outputs("PMY_1.jpg", CellClass.IG) == {Subtype.PROMYELOCYTE}


def test_a_name_that_tells_nothing_leaves_every_subtype_of_the_class() -> None:
    for name in ("NEUTROPHIL_1.jpg", "cell.jpg", "BNEX_1.jpg", "bne_1.jpg"):
        assert outputs(name, CellClass.NEUTROPHIL) == {Subtype.BAND_NEUTROPHIL, Subtype.SEGMENTED_NEUTROPHIL}
    assert len(outputs("IG_1.jpg", CellClass.IG)) == 3
    assert outputs("BA_1.jpg", CellClass.BASOPHIL) == {Subtype.BASOPHIL}


def test_the_folder_goes_before_the_name() -> None:
    assert outputs("BNE_1.jpg", CellClass.MONOCYTE) == {Subtype.MONOCYTE}
    assert outputs("MY_1.jpg", CellClass.NEUTROPHIL) == {Subtype.BAND_NEUTROPHIL, Subtype.SEGMENTED_NEUTROPHIL}


def test_a_class_is_as_probable_as_its_subtypes_together() -> None:
    logits = np.random.default_rng(1).normal(0, 3, (50, len(Subtype))).astype(np.float32)
    of_outputs, of_classes = softmax(logits), softmax(class_logits(logits, CLASS_OF_SUBTYPE))
    for position, label in enumerate(CellClass):
        together = of_outputs[:, [of == label for of in CLASS_OF_SUBTYPE]].sum(axis=1)
        assert of_classes[:, position] == pytest.approx(together, abs=1e-6)


def test_one_output_per_class_stays_as_it_is_in_whatever_order() -> None:
    logits = np.arange(16, dtype=np.float32).reshape(2, 8)
    assert np.array_equal(class_logits(logits, tuple(CellClass)), logits)
    assert np.array_equal(class_logits(logits[:, ::-1], tuple(CellClass)[::-1]), logits)
    assert class_logits(logits[:0], tuple(CellClass)).shape == (0, 8)
