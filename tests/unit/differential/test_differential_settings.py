"""What a laboratory may set, and what it may not."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.settings import ADULT_REFERENCE_RANGES, CountSettings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in CountSettings.model_fields:
        monkeypatch.delenv(f"SMEARCOUNT_{name.upper()}", raising=False)


def test_defaults_are_those_of_the_field() -> None:
    settings = CountSettings()

    assert settings.reference_ranges == {
        CellClass.NEUTROPHIL: (39, 75),
        CellClass.LYMPHOCYTE: (16, 47),
        CellClass.MONOCYTE: (4, 12),
        CellClass.EOSINOPHIL: (0, 7),
        CellClass.BASOPHIL: (0, 2),
        CellClass.IG: (0, 0.9),
    }
    assert (settings.minimum_wbc, settings.nrbc_correction_at) == (100, 5.0)


def test_every_field_says_what_it_is() -> None:
    for field in CountSettings.model_fields.values():
        assert field.description
        assert field.description.endswith(".")


def test_the_environment_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_REFERENCE_RANGES", '{"neutrophil": [40, 70.5], "ig": [0, 1]}')
    monkeypatch.setenv("SMEARCOUNT_MINIMUM_WBC", "200")
    monkeypatch.setenv("SMEARCOUNT_NRBC_CORRECTION_AT", "10")
    settings = CountSettings()

    assert settings.reference_ranges == ADULT_REFERENCE_RANGES | {
        CellClass.NEUTROPHIL: (40, 70.5),
        CellClass.IG: (0, 1),
    }
    assert (settings.minimum_wbc, settings.nrbc_correction_at) == (200, 10.0)
    assert set(ADULT_REFERENCE_RANGES) == set(WBC_CLASSES)


def test_null_takes_a_range_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_REFERENCE_RANGES", '{"ig": null}')

    assert CountSettings().reference_ranges.keys() == set(WBC_CLASSES) - {CellClass.IG}


@pytest.mark.parametrize(
    ("ranges", "complaint"),
    [
        ('{"platelet": [0, 10]}', "platelet is not part of the differential"),
        ('{"erythroblast": [0, 10]}', "erythroblast is not part of the differential"),
        ('{"neutrophil": [75, 39]}', "not 75 and 39"),
        ('{"neutrophil": [-1, 39]}', "not -1 and 39"),
        ('{"neutrophil": [39, 101]}', "not 39 and 101"),
        ('{"neutrophil": [NaN, 39]}', "not nan and 39"),
        ('{"neutrophil": [39]}', "Field required"),
        ('{"blast": [0, 1]}', "Input should be"),
        ("[39, 75]", "valid dictionary"),
    ],
)
def test_refuses_impossible_ranges(monkeypatch: pytest.MonkeyPatch, ranges: str, complaint: str) -> None:
    monkeypatch.setenv("SMEARCOUNT_REFERENCE_RANGES", ranges)

    with pytest.raises(ValidationError, match=complaint):
        CountSettings()


def test_refuses_ranges_that_are_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_REFERENCE_RANGES", "neutrophil=40-70")

    with pytest.raises(SettingsError, match="reference_ranges"):
        CountSettings()


@pytest.mark.parametrize(
    ("name", "value"), [("minimum_wbc", 0), ("nrbc_correction_at", 0), ("nrbc_correction_at", float("inf"))]
)
def test_refuses_impossible_thresholds(name: str, value: float) -> None:
    with pytest.raises(ValidationError, match=name):
        CountSettings.model_validate({name: value})


def test_is_frozen_and_shares_no_defaults() -> None:
    settings = CountSettings()

    with pytest.raises(ValidationError, match="frozen"):
        settings.minimum_wbc = 1
    assert settings.reference_ranges is not CountSettings().reference_ranges
    assert settings.reference_ranges is not ADULT_REFERENCE_RANGES
