"""From a slide's numbers to its result: denominators, flags, and the JSON with its schema."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.flags import FLAG_MEANINGS, slide_flags
from smearcount.differential.line import line
from smearcount.differential.model import ModelIdentity
from smearcount.differential.report import report
from smearcount.differential.schema import counts_schema
from smearcount.differential.settings import ADULT_REFERENCE_RANGES, CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import SlideTally

# Given in full: the environment of whoever runs the tests has no say.
DEFAULTS = CountSettings(reference_ranges=ADULT_REFERENCE_RANGES, minimum_wbc=100, nrbc_correction_at=5.0)
OLD = ModelIdentity("smearnet", "1", "a" * 64)
NEW = ModelIdentity("smearnet", "2", "b" * 64)

ORDINARY = {
    CellClass.NEUTROPHIL: 60,
    CellClass.LYMPHOCYTE: 30,
    CellClass.MONOCYTE: 6,
    CellClass.EOSINOPHIL: 3,
    CellClass.BASOPHIL: 1,
    CellClass.PLATELET: 12,
}


def tally(**changes: Any) -> SlideTally:
    """Return an ordinary, complete slide of 100 WBC, or one that differs from it."""
    ordinary: dict[str, Any] = {
        "slide": "S-1",
        "status": SlideStatus.COMPLETE,
        "models": (NEW,),
        "cells": ORDINARY,
        "unidentified": 0,
        "quarantined": 0,
        "duplicates": 0,
        "pending": 0,
        "first_image_at": datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
        "completed_at": datetime(2026, 3, 1, 8, 31, 2, 500, tzinfo=UTC),
    }
    return SlideTally(**(ordinary | changes))


def codes(slide: SlideTally, count_settings: CountSettings = DEFAULTS) -> list[str]:
    return [flag.code for flag in slide_flags(slide, count_settings)]


SCHEMA = Draft202012Validator(counts_schema())

few_or_many = st.integers(0, 3) | st.integers(0, 500)
moments = st.none() | st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis wants the bounds without a zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
models = st.builds(ModelIdentity, st.text(), st.text(), st.text("0123456789abcdef", min_size=64, max_size=64))
tallies = st.builds(
    SlideTally,
    slide=st.text(),
    status=st.sampled_from(SlideStatus),
    models=st.lists(models, max_size=3).map(tuple),
    cells=st.dictionaries(st.sampled_from(CellClass), few_or_many),
    unidentified=few_or_many,
    quarantined=few_or_many,
    duplicates=few_or_many,
    pending=few_or_many,
    first_image_at=moments,
    completed_at=moments,
)
ranges = st.none() | st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda bounds: tuple(sorted(bounds)))
counts_settings = st.builds(
    CountSettings,
    reference_ranges=st.dictionaries(st.sampled_from(WBC_CLASSES), ranges),
    minimum_wbc=st.integers(1, 400),
    nrbc_correction_at=st.floats(0.1, 100),
)


@given(tallies, counts_settings)
def test_every_report_keeps_the_schema_and_adds_up(slide: SlideTally, count_settings: CountSettings) -> None:
    result = report(slide, count_settings).as_json()

    SCHEMA.validate(result)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    rows = result["differential"]
    assert [row["class"] for row in rows] == [cell_class.value for cell_class in WBC_CLASSES]
    assert sum(row["count"] for row in rows) == result["wbc_counted"]
    assert all(row["count"] == result["cells"][row["class"]] for row in rows)
    assert result["platelets"] == result["cells"]["platelet"]
    assert (result["nrbc_per_100_wbc"] is None) == (result["wbc_counted"] == 0)
    for row in rows:
        interval, reference, percent = row["ci95"], row["reference"], row["percent"]
        if result["wbc_counted"] == 0:
            assert (percent, interval, row["flag"]) == (None, {"low": None, "high": None}, None)
            continue
        assert percent == 100.0 * row["count"] / result["wbc_counted"]
        assert interval["low"] <= percent <= interval["high"]
        within = reference is None or reference["low"] <= percent <= reference["high"]
        assert (row["flag"] is None) == within
        if row["flag"] in {"low", "high"}:
            assert interval["high"] < reference["low"] or interval["low"] > reference["high"]
            assert result["wbc_counted"] >= count_settings.minimum_wbc
        expected = [] if within else [f"{row['flag']}:{row['class']}"]
        assert [flag["code"] for flag in result["flags"] if flag["code"].endswith(f":{row['class']}")] == expected
    if result["wbc_counted"]:
        assert sum(row["percent"] for row in rows) == pytest.approx(100)


@given(tallies, counts_settings)
def test_every_flag_is_documented_and_in_the_documented_order(slide: SlideTally, count_settings: CountSettings) -> None:
    given_codes = codes(slide, count_settings)
    documented = [re.sub(":.*", ":<class>", code) for code in given_codes]
    of_the_count = [code for code in documented if ":" not in code]

    assert set(documented) <= set(FLAG_MEANINGS)
    assert of_the_count == sorted(of_the_count, key=list(FLAG_MEANINGS).index)
    assert documented[: len(of_the_count)] == of_the_count
    assert len(set(given_codes)) == len(given_codes)


@given(tallies, counts_settings)
def test_the_line_agrees_with_the_report(slide: SlideTally, count_settings: CountSettings) -> None:
    short, full = (
        line(slide, count_settings, inbox="/in", reviewed_cells=0).as_json(),
        report(slide, count_settings).as_json(),
    )

    assert short["percents"] == {row["class"]: row["percent"] for row in full["differential"]}
    assert short["flags"] == [flag["code"] for flag in full["flags"]]
    assert short["inbox"] == "/in"
    handled = sum(full["cells"].values()) + full["unidentified"] + full["quarantined"] + full["duplicates"]
    assert short["images"] == handled + full["pending"]
    assert short["review_reasons"] == [reason["code"] for reason in full["review_reasons"]]
    by_code = {"flags", "review_reasons"}
    assert all(short[name] == full[name] for name in short.keys() & full.keys() - by_code)


def test_the_schema_is_a_schema_and_explains_every_property() -> None:
    schema = counts_schema()
    Draft202012Validator.check_schema(schema)

    for described in (schema, *schema["$defs"].values(), schema["properties"]["cells"]):
        for name, subschema in described.get("properties", {}).items():
            assert subschema.get("description"), name
        assert described.get("type") != "object" or described["additionalProperties"] is False


def test_the_json_of_an_ordinary_slide() -> None:
    result = report(tally(), DEFAULTS).as_json()

    assert result["schema_version"] == 2
    assert result["slide"] == "S-1"
    assert result["status"] == "complete"
    assert result["model"] == {"name": "smearnet", "version": "2", "sha256": "b" * 64}
    assert result["wbc_counted"] == 100
    assert result["nrbc_per_100_wbc"] == 0
    assert result["wbc_correction_factor"] is None
    assert result["platelets"] == 12
    assert result["flags"] == []
    assert result["review_reasons"] == []
    assert result["first_image_at"] == "2026-03-01T08:30:00Z"
    assert result["completed_at"] == "2026-03-01T08:31:02.000500Z"
    neutrophils = result["differential"][0]
    assert neutrophils["percent"] == 60
    assert neutrophils["reference"] == {"low": 39, "high": 75}
    assert neutrophils["ci95"]["low"] == pytest.approx(49.7, abs=0.05)


def test_erythroblasts_and_platelets_stay_out_of_the_denominator() -> None:
    slide = tally(cells=ORDINARY | {CellClass.ERYTHROBLAST: 7, CellClass.PLATELET: 900})
    result = report(slide, DEFAULTS)

    assert result.wbc_counted == 100
    assert result.nrbc_per_100_wbc == 7
    assert result.wbc_correction_factor == 100 / 107
    assert result.platelets == 900
    assert [flag.code for flag in result.flags] == ["nrbc-correction"]
    assert result.flags[0].message == "7.0 nRBC per 100 WBC: multiply the analyzer's WBC count by 0.935"


@pytest.mark.parametrize(("erythroblasts", "factor"), [(4, None), (5, 100 / 105)])
def test_the_correction_begins_at_its_threshold(erythroblasts: int, factor: float | None) -> None:
    slide = tally(cells=ORDINARY | {CellClass.ERYTHROBLAST: erythroblasts})

    assert report(slide, DEFAULTS).wbc_correction_factor == factor


def test_without_any_wbc_there_is_no_differential() -> None:
    slide = tally(cells={CellClass.ERYTHROBLAST: 9, CellClass.PLATELET: 3})
    result = report(slide, DEFAULTS)

    assert [row.percent for row in result.differential] == [None] * 6
    assert result.nrbc_per_100_wbc is None
    assert codes(slide) == ["no-wbc"]


def test_too_few_wbc_are_flagged() -> None:
    cells = {CellClass.NEUTROPHIL: 28, CellClass.LYMPHOCYTE: 11, CellClass.MONOCYTE: 3}
    (flag,) = slide_flags(tally(cells=cells), DEFAULTS)

    assert flag.code == "few-wbc"
    assert flag.message.startswith("only 42 WBC counted; 100 is routine, 200 common, 400 the reference method")
    assert codes(tally(cells=cells), CountSettings(reference_ranges=ADULT_REFERENCE_RANGES, minimum_wbc=42)) == []


def test_the_bounds_of_a_range_belong_to_it() -> None:
    cells = {CellClass.NEUTROPHIL: 75, CellClass.LYMPHOCYTE: 16, CellClass.MONOCYTE: 9}
    assert codes(tally(cells=cells)) == []

    cells = {CellClass.NEUTROPHIL: 76, CellClass.LYMPHOCYTE: 15, CellClass.MONOCYTE: 9}
    assert codes(tally(cells=cells)) == ["borderline:neutrophil", "borderline:lymphocyte"]


def test_high_and_low_are_what_lies_outside_with_the_whole_interval() -> None:
    cells = {CellClass.NEUTROPHIL: 86, CellClass.LYMPHOCYTE: 7, CellClass.MONOCYTE: 7}
    high, low = slide_flags(tally(cells=cells), DEFAULTS)
    assert (high.code, low.code) == ("high:neutrophil", "low:lymphocyte")
    assert high.message == "Neutrophil high: 86.0 % (86 of 100), reference 39-75 %"
    assert low.message == "Lymphocyte low: 7.0 % (7 of 100), reference 16-47 %"


def test_what_is_not_in_the_count_is_flagged() -> None:
    slide = tally(unidentified=1, quarantined=2, pending=3, status=SlideStatus.COUNTING, models=(NEW, OLD))

    assert [(flag.code, flag.message) for flag in slide_flags(slide, DEFAULTS)] == [
        ("incomplete", "still counting: 3 images pending"),
        ("quarantined", "2 files could not be used"),
        ("unidentified", "1 cell unidentified, for review"),
        ("mixed-models", "counted by 2 different models"),
    ]
    assert report(slide, DEFAULTS).model == NEW


def test_a_slide_still_counting_is_flagged_even_with_nothing_pending() -> None:
    (flag,) = slide_flags(tally(status=SlideStatus.COUNTING), DEFAULTS)

    assert (flag.code, flag.message) == ("incomplete", "still counting: more images may arrive")


def test_one_model_file_under_two_names_is_one_model() -> None:
    assert codes(tally(models=(NEW, ModelIdentity("renamed", "2", NEW.sha256)))) == []


def test_a_tally_takes_names_and_fills_in_zeros() -> None:
    slide = tally(cells={"neutrophil": 3}, status="complete")

    assert slide.status is SlideStatus.COMPLETE
    assert slide.cells[CellClass.NEUTROPHIL] == 3
    assert list(slide.cells) == list(CellClass)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"pending": -1},
        {"cells": {CellClass.IG: -1}},
        {"cells": {"blast": 1}},
        {"status": "done"},
        {"completed_at": datetime(2026, 3, 1)},  # noqa: DTZ001 - the very mistake
    ],
)
def test_a_tally_refuses_nonsense(nonsense: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"negative|not a valid|no time zone"):
        tally(**nonsense)


def test_times_are_written_in_utc() -> None:
    east = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    assert report(tally(first_image_at=east), DEFAULTS).as_json()["first_image_at"] == "2026-02-28T20:00:00Z"
