"""What stands in the way of a signature, and the signed result as it is kept."""

import json

import pytest
from hypothesis import given, settings
from pydantic import ValidationError

from smearcount.differential.forms.examination import SlideExamination
from smearcount.differential.model import ModelUsed
from smearcount.differential.signing.policy import (
    ObstacleCode,
    Policy,
    SigningRules,
    SignOffSettings,
    hindrances,
    obstacles,
)
from smearcount.differential.signing.snapshot import SignedResult, report_of
from smearcount.differential.tally import SlideTally

from support.examining import DEFAULTS, any_examination, examined, tally
from support.examples import examples

FEW = tally(cells={"neutrophil": 99}, unidentified=2, quarantined=1)
RULES = SigningRules(counts=DEFAULTS, policy=SignOffSettings(), version="1.2.3")


def with_policy(**policies: Policy) -> SigningRules:
    return SigningRules(counts=DEFAULTS, policy=SignOffSettings(**policies), version="1.2.3")


def test_by_default_every_obstacle_is_to_be_acknowledged() -> None:
    found = obstacles(FEW, 2, RULES)
    assert [(one.code, one.message, one.policy) for one in found] == [
        (ObstacleCode.UNIDENTIFIED, "2 cells are unidentified, and nobody has called them", Policy.ACKNOWLEDGE),
        (ObstacleCode.FEW_WBC, "99 WBC counted, fewer than the 100 wanted", Policy.ACKNOWLEDGE),
        (ObstacleCode.QUARANTINED, "1 file could not be used", Policy.ACKNOWLEDGE),
    ]
    assert hindrances(found, []) == found
    assert hindrances(found, [ObstacleCode.FEW_WBC, ObstacleCode.QUARANTINED]) == found[:1]
    assert hindrances(found, list(ObstacleCode)) == ()


@pytest.mark.parametrize(
    ("slide", "uncalled", "codes"),
    [
        (tally(unidentified=0), 0, []),
        # A person took all of them out of the count.
        (tally(unidentified=3), 0, []),
        (tally(unidentified=3), 1, [ObstacleCode.UNIDENTIFIED]),
        (tally(cells={}), 0, [ObstacleCode.FEW_WBC]),
        (tally(quarantined=4), 0, [ObstacleCode.QUARANTINED]),
    ],
)
def test_what_stands_in_the_way(slide: SlideTally, uncalled: int, codes: list[ObstacleCode]) -> None:
    assert [one.code for one in obstacles(slide, uncalled, RULES)] == codes


def test_what_the_site_allows_is_no_obstacle_and_what_it_refuses_stays_one() -> None:
    found = obstacles(FEW, 2, with_policy(sign_off_few_wbc=Policy.ALLOWED, sign_off_quarantined=Policy.REFUSED))
    assert [one.code for one in found] == [ObstacleCode.UNIDENTIFIED, ObstacleCode.QUARANTINED]
    assert hindrances(found, list(ObstacleCode)) == found[1:]


def test_policies_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for code in ObstacleCode:
        assert SignOffSettings().policy(code) is Policy.ACKNOWLEDGE
        name = f"SMEARCOUNT_SIGN_OFF_{code.name}"
        monkeypatch.setenv(name, "refused")
        assert SignOffSettings().policy(code) is Policy.REFUSED
        monkeypatch.setenv(name, "never")
        with pytest.raises(ValidationError):
            SignOffSettings()
        monkeypatch.delenv(name)


@settings(max_examples=examples(30))
@given(any_examination())
def test_every_report_comes_back_from_its_json_as_it_was(examination: SlideExamination) -> None:
    for _, report in examination.reports:
        back = report_of(json.loads(json.dumps(report.as_json())))
        assert back == report
        assert back.as_json() == report.as_json()


def test_a_signed_result_comes_back_as_it_was() -> None:
    examination = examined()
    signed = SignedResult.made(
        automatic=examination.automatic,
        reviewed=examination.reported,
        reviewed_cells=0,
        models=(ModelUsed("m", "1.0.0", "a" * 64, "crop128-v1", 0.5, "c" * 64),),
        rules=RULES,
    )
    document = json.loads(json.dumps(signed.as_json()))
    assert SignedResult.of(document) == signed
    assert document["form"] == 1
    assert document["settings"]["minimum_wbc"] == 100
    assert document["models"][0]["card_sha256"] == "c" * 64
