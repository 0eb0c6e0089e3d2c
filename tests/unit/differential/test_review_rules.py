"""When a slide asks for a person: each rule, its limit, and what silences it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from smearcount.differential.analyzer.labels import class_of_label
from smearcount.differential.classes import CellClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.line import line
from smearcount.differential.report import report
from smearcount.differential.review_rules import REVIEW_RULES, review_reasons
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import ReviewFacts, SlideTally

#: The setting of each rule.
SETTINGS = {code: f"review_{code.replace('-', '_')}" for code in REVIEW_RULES}
DEFAULT_LIMITS: dict[str, Any] = {
    "review_few_wbc": 100, "review_nrbc": 1, "review_ig": 2.0, "review_added_class": 1, "review_unidentified": 10.0,
    "review_unlikeness": 1.25, "review_disagreement": 25.0,
}  # fmt: skip

QUIET = {CellClass.NEUTROPHIL: 120, CellClass.LYMPHOCYTE: 60, CellClass.MONOCYTE: 16, CellClass.IG: 4}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CountSettings.model_fields:
        monkeypatch.delenv(f"SMEARCOUNT_{name.upper()}", raising=False)


def tally(facts: ReviewFacts | None = None, **changes: Any) -> SlideTally:
    """Return a complete slide of 200 WBC that asks for nobody, or one that differs from it."""
    ordinary: dict[str, Any] = {
        "slide": "S-1", "status": SlideStatus.COMPLETE, "models": (), "cells": QUIET, "unidentified": 0, "quarantined": 0,
        "duplicates": 0, "pending": 0, "first_image_at": None, "completed_at": None,
        "review_facts": facts or ReviewFacts(),
    }  # fmt: skip
    return SlideTally(**(ordinary | changes))


def reasons(slide: SlideTally, **limits: Any) -> dict[str, str]:
    return {reason.code: reason.message for reason in review_reasons(slide, CountSettings(**limits))}


#: For each rule: a slide just within the limit, one just beyond it, and what the latter is told.
CASES = {
    "few-wbc": (
        tally(cells={CellClass.NEUTROPHIL: 100}),
        tally(cells={CellClass.NEUTROPHIL: 99}),
        "99 WBC counted, fewer than 100",
    ),
    "nrbc": (tally(), tally(cells=QUIET | {CellClass.ERYTHROBLAST: 1}), "1 nRBC seen"),
    # 9 of 200 is the smallest number that exceeds 2 % with 95 % certainty.
    "ig": (
        tally(cells=QUIET | {CellClass.NEUTROPHIL: 116, CellClass.IG: 8}),
        tally(cells=QUIET | {CellClass.NEUTROPHIL: 115, CellClass.IG: 9}),
        "immature granulocytes 4.5 % (9 of 200), 95 % interval 2.1-8.4 %, above 2 %",
    ),
    "added-class": (
        tally(),
        tally(ReviewFacts(added={CellClass.IG: 4})),
        "found by people alone: Immature granulocyte (4)",
    ),
    "unidentified": (
        tally(unidentified=22),
        tally(unidentified=23),
        "10.3 % of the cells unidentified (23 of 223), more than 10 %",
    ),
    "unlikeness": (
        tally(ReviewFacts(unlikeness=1.25)),
        tally(ReviewFacts(unlikeness=1.26)),
        "unlike the images that the model knows: median unlikeness 1.26, more than 1.25",
    ),
    "disagreement": (
        tally(ReviewFacts(labelled=200, disagreeing=50)),
        tally(ReviewFacts(labelled=200, disagreeing=51)),
        "25.5 % of the cells in another class than the analyzer's (51 of 200), more than 25 %",
    ),
}


def test_the_default_limits() -> None:
    settings = CountSettings()

    assert {name: getattr(settings, name) for name in DEFAULT_LIMITS} == DEFAULT_LIMITS
    assert CASES.keys() == REVIEW_RULES.keys()
    assert set(SETTINGS.values()) == set(DEFAULT_LIMITS)


@pytest.mark.parametrize("code", CASES)
def test_a_rule_applies_beyond_its_limit_alone_and_can_be_turned_off(code: str) -> None:
    within, beyond, message = CASES[code]

    assert reasons(within) == {}
    assert reasons(beyond) == {code: message}
    assert reasons(beyond, **{SETTINGS[code]: "off"}) == {}
    assert reasons(beyond, **{SETTINGS[code]: None}) == {}


@pytest.mark.parametrize("code", CASES)
def test_neither_a_slide_being_counted_nor_a_signed_one_asks_for_anybody(code: str) -> None:
    _, beyond, _ = CASES[code]
    facts = beyond.review_facts
    changes = {"cells": beyond.cells, "unidentified": beyond.unidentified}

    assert reasons(tally(facts, **changes)) != {}
    assert reasons(tally(facts, status=SlideStatus.COUNTING, **changes)) == {}
    signed = ReviewFacts(
        unlikeness=facts.unlikeness,
        labelled=facts.labelled,
        disagreeing=facts.disagreeing,
        added=facts.added,
        is_signed=True,
    )
    assert reasons(tally(signed, **changes)) == {}


def test_the_reasons_stand_in_the_order_of_the_rules() -> None:
    everything = tally(
        ReviewFacts(unlikeness=3.0, labelled=4, disagreeing=4, added={CellClass.IG: 50}),
        cells={CellClass.IG: 50, CellClass.ERYTHROBLAST: 3},
        unidentified=60,
    )

    assert list(reasons(everything)) == list(REVIEW_RULES)


def test_unidentified_cells_that_somebody_has_looked_at_ask_for_nobody() -> None:
    assert "unidentified" in reasons(tally(unidentified=50))
    assert reasons(tally(ReviewFacts(called_unidentified=50), unidentified=50)) == {}
    assert "unidentified" in reasons(tally(ReviewFacts(called_unidentified=20), unidentified=50))


def test_few_wbc_follows_the_minimum_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_MINIMUM_WBC", "250")
    assert reasons(tally()) == {"few-wbc": "200 WBC counted, fewer than 250"}

    monkeypatch.setenv("SMEARCOUNT_REVIEW_FEW_WBC", "150")
    assert reasons(tally()) == {}


@pytest.mark.parametrize("code", SETTINGS)
def test_the_environment_sets_a_limit_or_turns_the_rule_off(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    name = SETTINGS[code]
    monkeypatch.setenv(f"SMEARCOUNT_{name.upper()}", "7")
    assert getattr(CountSettings(), name) == 7
    assert CountSettings().model_dump(mode="json")[name] == 7

    monkeypatch.setenv(f"SMEARCOUNT_{name.upper()}", " Off ")
    assert getattr(CountSettings(), name) is None
    assert CountSettings().model_dump(mode="json")[name] == "off"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("review_few_wbc", "0"),
        ("review_nrbc", "-1"),
        ("review_nrbc", "1.5"),
        ("review_ig", "101"),
        ("review_ig", "nan"),
        ("review_added_class", "0"),
        ("review_unidentified", "-0.1"),
        ("review_unlikeness", "0"),
        ("review_unlikeness", "inf"),
        ("review_disagreement", "on"),
        ("review_disagreement", ""),
    ],
)
def test_an_impossible_limit_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"SMEARCOUNT_{name.upper()}", value)

    with pytest.raises(ValidationError, match=name):
        CountSettings()


def test_facts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="larger"):
        ReviewFacts(labelled=1, disagreeing=2)
    with pytest.raises(ValueError, match="negative"):
        ReviewFacts(called_unidentified=-1)
    with pytest.raises(ValueError, match="negative"):
        ReviewFacts(disagreeing=-1)


few_or_many = st.integers(0, 3) | st.integers(0, 500)
any_facts = st.builds(
    lambda disagreeing, more, **rest: ReviewFacts(labelled=disagreeing + more, disagreeing=disagreeing, **rest),
    disagreeing=few_or_many,
    more=few_or_many,
    called_unidentified=few_or_many,
    unlikeness=st.none() | st.floats(0, 1000),
    added=st.dictionaries(st.sampled_from(CellClass), few_or_many),
    is_signed=st.booleans(),
)
any_tally = st.builds(
    tally,
    facts=any_facts,
    status=st.sampled_from(SlideStatus),
    cells=st.dictionaries(st.sampled_from(CellClass), few_or_many),
    unidentified=few_or_many,
    pending=few_or_many,
)
percents = st.just("off") | st.floats(0, 100)
numbers = st.just("off") | st.integers(1, 1000)
any_settings = st.builds(
    CountSettings,
    minimum_wbc=st.integers(1, 400),
    nrbc_correction_at=st.floats(0.1, 100),
    review_few_wbc=numbers,
    review_nrbc=numbers,
    review_ig=percents,
    review_added_class=numbers,
    review_unidentified=percents,
    review_unlikeness=st.just("off") | st.floats(0.01, 100),
    review_disagreement=percents,
)


@given(any_tally, any_settings)
def test_any_slide_can_be_judged_under_any_settings(slide: SlideTally, settings: CountSettings) -> None:
    found = [reason.code for reason in review_reasons(slide, settings)]

    assert found == sorted(set(found), key=list(REVIEW_RULES).index)
    assert len({flag.code for flag in slide_flags(slide, settings)}) == len(slide_flags(slide, settings))
    assert not [code for code in found if getattr(settings, SETTINGS[code]) is None]
    assert [reason["code"] for reason in report(slide, settings).as_json()["review_reasons"]] == found
    assert line(slide, settings, inbox="/in", reviewed_cells=0).as_json()["review_reasons"] == found


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("SNE", CellClass.NEUTROPHIL),
        ("Band neutrophils", CellClass.NEUTROPHIL),
        ("segmented_neutrophil", CellClass.NEUTROPHIL),
        ("NEU", CellClass.NEUTROPHIL),
        ("eo", CellClass.EOSINOPHIL),
        ("Basophils", CellClass.BASOPHIL),
        ("VLY", CellClass.LYMPHOCYTE),
        ("Monocyte", CellClass.MONOCYTE),
        ("PMY", CellClass.IG),
        ("MY", CellClass.IG),
        ("Metamyelocytes", CellClass.IG),
        ("ig", CellClass.IG),
        ("ERB", CellClass.ERYTHROBLAST),
        ("nRBC", CellClass.ERYTHROBLAST),
        ("GT", CellClass.PLATELET),
        ("Giant thrombocytes", CellClass.PLATELET),
        ("ERC", CellClass.PLATELET),
        *(
            (label, None)
            for label in ("BL", "PMO", "PLY", "PC", "SMU", "ART", "Arifact", "UI", "USRWBC2", "", "s", "?", "嗜中性")
        ),
    ],
)
def test_labels_of_analyzers(label: str, expected: CellClass | None) -> None:
    assert class_of_label(label) is expected


@pytest.mark.parametrize("cell_class", CellClass)
def test_our_own_names_are_labels_too(cell_class: CellClass) -> None:
    assert class_of_label(cell_class.value) is cell_class
    assert class_of_label(f"{cell_class.value.upper()}S") is cell_class


@given(st.text())
def test_any_text_may_be_a_label(label: str) -> None:
    assert class_of_label(label) in {None, *CellClass}
