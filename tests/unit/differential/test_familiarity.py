"""A slide whose images the model does not know says so, and asks whoever signs it."""

from dataclasses import replace

import pytest

from smearcount.differential.analyzer.familiarity import FEWEST_CELLS, unfamiliar_signs
from smearcount.differential.classes import CellClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import (
    ObstacleCode,
    Policy,
    SigningRules,
    SignOffSettings,
    hindrances,
    obstacles,
)
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import ReviewFacts, SlideTally

SETTINGS = CountSettings()


def tally(cells: dict[CellClass, int] | None = None, **facts: float) -> SlideTally:
    return SlideTally(
        slide="S-1",
        status=SlideStatus.COMPLETE,
        models=(),
        cells={CellClass.NEUTROPHIL: 60, CellClass.LYMPHOCYTE: 40} if cells is None else cells,
        unidentified=0,
        quarantined=0,
        duplicates=0,
        pending=0,
        first_image_at=None,
        completed_at=None,
        review_facts=ReviewFacts(**facts),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"unlikeness": 1.26}, "unlikeness 1.26"),
        ({"colour_distance": 25.4}, "25.4 times"),
        ({"sharpness": 0.7}, "blurred"),
        ({"sharpness": 1.4}, "sharpened"),
    ],
)
def test_each_sign_flags_the_slide(facts: dict[str, float], word: str) -> None:
    (message,) = [flag.message for flag in slide_flags(tally(None, **facts), SETTINGS) if flag.code == "unlike-images"]
    assert word in message


def test_a_usual_slide_shows_nothing() -> None:
    usual = tally(unlikeness=1.25, colour_distance=3.0, sharpness=0.8)
    assert unfamiliar_signs(usual, SETTINGS) == ()
    assert unfamiliar_signs(tally(), SETTINGS) == (), "models of earlier versions tell nothing"
    assert unfamiliar_signs(tally(sharpness=1.3), SETTINGS) == ()


def test_a_mix_that_hardly_any_blood_has() -> None:
    (sign,) = unfamiliar_signs(tally({CellClass.BASOPHIL: 50, CellClass.IG: 20, CellClass.NEUTROPHIL: 30}), SETTINGS)
    assert "70 % of the WBC" in sign
    assert unfamiliar_signs(tally({CellClass.IG: 60, CellClass.NEUTROPHIL: 40}), SETTINGS) == ()
    few = {CellClass.BASOPHIL: 10, CellClass.PLATELET: 30}
    assert unfamiliar_signs(tally(few), SETTINGS) == ()


def test_few_cells_show_nothing() -> None:
    cells = {CellClass.NEUTROPHIL: FEWEST_CELLS - 1}
    assert unfamiliar_signs(tally(cells, unlikeness=9.0), SETTINGS) == ()
    assert unfamiliar_signs(replace(tally(cells, unlikeness=9.0), unidentified=1), SETTINGS)


@pytest.mark.parametrize("name", ["unlikeness", "colour", "sharpness", "rare_classes"])
def test_a_sign_can_be_turned_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SMEARCOUNT_UNLIKE_{name.upper()}", "off")
    rare = {CellClass.BASOPHIL: 100}
    loud = tally(rare, unlikeness=9.0, colour_distance=99.0, sharpness=9.0)
    assert len(unfamiliar_signs(loud, CountSettings())) == 3


def test_whoever_signs_has_to_acknowledge_it() -> None:
    rules = SigningRules(counts=SETTINGS, policy=SignOffSettings(), version="0")
    (found,) = obstacles(tally(unlikeness=2.0), 0, rules)
    assert (found.code, found.policy) == (ObstacleCode.UNLIKE_IMAGES, Policy.ACKNOWLEDGE)
    assert "unlike those that the model knows" in found.message
    assert hindrances([found], []) == (found,)
    assert hindrances([found], [ObstacleCode.UNLIKE_IMAGES]) == ()
    allowed = SignOffSettings(sign_off_unlike_images=Policy.ALLOWED)
    assert obstacles(tally(unlikeness=2.0), 0, SigningRules(counts=SETTINGS, policy=allowed, version="0")) == ()
