"""Which cells a simulated slide is made of."""

import itertools
from collections import Counter

import numpy as np
import pytest

from smearcount.cli.simulation.composition import ROUTINE, draw_composition, parse_composition, vary
from smearcount.cli.simulation.errors import SimulationError
from smearcount.differential.classes import CellClass
from smearcount.differential.errors import SmearcountError


def test_a_composition_is_read_in_any_order_and_case() -> None:
    assert parse_composition(" IG=0.5, neutrophil = 60,lymphocyte=30 ") == {
        CellClass.IG: 0.5,
        CellClass.NEUTROPHIL: 60.0,
        CellClass.LYMPHOCYTE: 30.0,
    }


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("blast=3", 'no class "blast"; the classes are basophil, '),
        ("neutrophil=-1", "share of neutrophil is -1"),
        ("neutrophil=nan", "share of neutrophil is nan"),
        ("neutrophil=inf", "share of neutrophil is inf"),
        ("neutrophil=0,platelet=0", "no share above 0"),
        ("neutrophil=many", '"many", is no number'),
        ("neutrophil", 'cannot read "neutrophil"'),
        ("neutrophil=60,", 'cannot read ""'),
        ("neutrophil=", 'cannot read "neutrophil="'),
        ("", 'cannot read ""'),
        ("ig=1,IG=2", "names ig twice"),
    ],
)
def test_a_composition_that_makes_no_slide_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(SimulationError, match=complaint) as refusal:
        parse_composition(text)
    assert isinstance(refusal.value, SmearcountError)


def test_shares_that_come_out_whole_are_met_exactly() -> None:
    shares = parse_composition("neutrophil=60,lymphocyte=30,monocyte=10")
    for seed in range(50):
        drawn = draw_composition(shares, 200, np.random.default_rng(seed))
        assert Counter(drawn) == {CellClass.NEUTROPHIL: 120, CellClass.LYMPHOCYTE: 60, CellClass.MONOCYTE: 20}


def test_the_rarest_class_gets_its_share_in_the_mean() -> None:
    drawn = [draw_composition(ROUTINE, 100, np.random.default_rng(seed)) for seed in range(400)]
    counts = [Counter(slide) for slide in drawn]
    assert {len(slide) for slide in drawn} == {100}
    assert {count[CellClass.IG] for count in counts} == {0, 1}
    assert 0.4 < np.mean([count[CellClass.IG] for count in counts]) < 0.6
    assert {count[CellClass.NEUTROPHIL] for count in counts} == {58}


def test_the_order_in_which_shares_are_given_changes_nothing() -> None:
    backwards = dict(reversed(ROUTINE.items()))
    assert draw_composition(ROUTINE, 73, np.random.default_rng(5)) == draw_composition(
        backwards, 73, np.random.default_rng(5)
    )


def test_cells_come_in_random_order() -> None:
    drawn = draw_composition(parse_composition("neutrophil=1,lymphocyte=1"), 100, np.random.default_rng(1))
    changes = sum(one != other for one, other in itertools.pairwise(drawn))
    assert changes > 20


def test_a_class_without_a_share_is_never_drawn() -> None:
    drawn = draw_composition({CellClass.PLATELET: 0.0, CellClass.IG: 3.0}, 7, np.random.default_rng(0))
    assert drawn == (CellClass.IG,) * 7


def test_routine_slides_differ_a_little() -> None:
    shares = [vary(ROUTINE, np.random.default_rng(seed))[CellClass.NEUTROPHIL] for seed in range(200)]
    assert len(set(shares)) == 200
    assert 50 < np.median(shares) < 66
    assert 25 < min(shares) < max(shares) < 120


def test_the_routine_composition_names_every_class_and_sums_to_100() -> None:
    assert set(ROUTINE) == set(CellClass)
    assert sum(ROUTINE.values()) == pytest.approx(100)
