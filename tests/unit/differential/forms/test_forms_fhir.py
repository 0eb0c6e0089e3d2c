"""The FHIR Bundle: accepted by another library's models, and equal to the report in every number."""

import json
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.quantity import Quantity
from hypothesis import given, settings

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.forms import codes
from smearcount.differential.forms.examination import Export, SlideExamination
from smearcount.differential.forms.fhir import (
    CONFIDENCE_INTERVAL,
    FLAG_SYSTEM,
    MODEL_SYSTEM,
    REPORT_NOTE,
    SLIDE_SYSTEM,
    bundle,
    bundles_ndjson,
)
from smearcount.differential.forms.remarks import author, text_of
from smearcount.differential.model import ModelIdentity
from smearcount.differential.ratios import RangeFlag
from smearcount.differential.status import SlideStatus

from support.examining import (
    EXPORT,
    MODEL,
    SIGNED_AT,
    any_examination,
    examined,
    exports,
    reviewed_tally,
    signed,
    tally,
)
from support.examples import examples

LOINC_CODES = {
    CellClass.NEUTROPHIL: "26511-6",
    CellClass.LYMPHOCYTE: "26478-8",
    CellClass.MONOCYTE: "26485-3",
    CellClass.EOSINOPHIL: "26450-7",
    CellClass.BASOPHIL: "30180-4",
    CellClass.IG: "38518-7",
}
STATUSES = {
    "unsigned": (examined(reviewed=reviewed_tally()), "partial", "preliminary"),
    "counting": (examined(automatic=tally(status=SlideStatus.COUNTING)), "partial", "preliminary"),
    "reopened": (examined(reviewed=reviewed_tally(), was_signed_before=True), "partial", "preliminary"),
    "signed": (signed(), "final", "final"),
    "signed without a change": (examined(signed_by="A", signed_at=SIGNED_AT), "final", "final"),
    "signed again": (signed(was_signed_before=True), "amended", "amended"),
}


class Read:
    """A Bundle as a receiver reads it: as text, by fhir.resources."""

    def __init__(self, made: dict[str, Any]) -> None:
        parsed = Bundle.model_validate_json(json.dumps(made, allow_nan=False))
        # The models declare every field as optional, and a resource as any of a hundred: what a test reads must be there.
        self.resources: dict[str | None, Any] = {entry.fullUrl: entry.resource for entry in parsed.entry or []}
        (self.report,) = self.of(DiagnosticReport)
        self.observations = {each.code.coding[0].code: each for each in self.of(Observation)}

    def of(self, kind: type) -> list[Any]:
        """Return the resources of one kind."""
        return [resource for resource in self.resources.values() if isinstance(resource, kind)]

    def value(self, code: str) -> Decimal | None:
        """Return the number of an Observation, None where there is none."""
        quantity = self.observations[code].valueQuantity
        return None if quantity is None else quantity.value


def exact(number: float | None, digits: int = 2) -> Decimal | None:
    return None if number is None else Decimal(repr(round(number, digits)))


def interval(quantity: Quantity) -> tuple[Decimal | None, ...]:
    (extension,) = quantity.extension or []
    assert extension.url == CONFIDENCE_INTERVAL
    confidence, within = extension.extension or []
    assert (confidence.url, within.url) == ("confidence", "interval")
    bounds = within.valueRange
    assert bounds is not None
    assert bounds.low is not None
    assert bounds.high is not None
    assert bounds.low.code == bounds.high.code == "%"
    return confidence.valueDecimal, bounds.low.value, bounds.high.value


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_every_bundle_is_valid_and_says_what_the_report_says(examination: SlideExamination, export: Export) -> None:
    read = Read(bundle(examination, export))
    result = examination.reported

    for row in result.differential:
        observation = read.observations[LOINC_CODES[row.cell_class]]
        if row.percent is None:
            assert observation.valueQuantity is None
            assert observation.dataAbsentReason.coding[0].code in {"temp-unknown", "not-applicable"}
            assert observation.interpretation is None
        else:
            assert observation.valueQuantity.value == exact(row.percent)
            assert observation.valueQuantity.code == "%"
            assert interval(observation.valueQuantity) == (Decimal(95), exact(row.ci95_low), exact(row.ci95_high))
            assert observation.note[0].text == f"{row.count} of {result.wbc_counted} WBC"
        if row.reference_low is None:
            assert observation.referenceRange is None
            assert observation.interpretation is None
        else:
            (reference,) = observation.referenceRange
            assert reference.low.value == Decimal(repr(row.reference_low))
            assert reference.high.value == Decimal(repr(row.reference_high))
            if row.percent is not None:
                (interpretation,) = observation.interpretation
                (coding,) = interpretation.coding
                if row.flag is RangeFlag.BORDERLINE:
                    assert (coding.system, coding.version) == (FLAG_SYSTEM, "2")
                    assert coding.code == f"borderline:{row.cell_class}"
                    assert "cannot be told from normal" in interpretation.text
                else:
                    assert coding.code == {RangeFlag.LOW: "L", RangeFlag.HIGH: "H", None: "N"}[row.flag]
        assert read.value(f"{row.cell_class}-count") == row.count
    assert read.value("19048-8") == exact(result.nrbc_per_100_wbc)
    assert read.value("erythroblast-count") == result.cells[CellClass.ERYTHROBLAST]
    assert read.value("platelets-seen") == result.platelets
    assert read.value("unidentified") == result.unidentified
    assert read.value("wbc-counted") == result.wbc_counted
    assert read.value("reviewed-cells") == examination.reviewed_cells
    assert read.value("excluded-cells") == len(examination.remarks.excluded)
    note = read.observations["excluded-cells"].note
    assert [one.text for one in note or []] == [text for text in (examination.remarks.excluded_text,) if text]
    assert ("wbc-correction-factor" in read.observations) == (result.wbc_correction_factor is not None)
    if result.wbc_correction_factor is not None:
        assert read.value("wbc-correction-factor") == exact(result.wbc_correction_factor, 3)


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_what_was_called_before_the_review_is_told_beside_the_result(
    examination: SlideExamination, export: Export
) -> None:
    read = Read(bundle(examination, export))
    before = {row.cell_class: row.percent for row in examination.automatic.differential}

    for cell_class, code in LOINC_CODES.items():
        component = read.observations[code].component
        if examination.reviewed is None or before[cell_class] is None:
            assert component is None
        else:
            (only,) = component
            assert only.code.coding[0].code == "before-review"
            assert only.valueQuantity.value == exact(before[cell_class])


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_all_that_people_wrote_is_in_the_report_with_who_and_when(
    examination: SlideExamination, export: Export
) -> None:
    report = Read(bundle(examination, export)).report
    said = examination.remarks.said

    notes = [each.valueAnnotation for each in report.extension or []]
    assert [(note.authorString, note.time, note.text) for note in notes] == [
        (author(remark), remark.at, text_of(remark)) for remark in said
    ]
    assert all(each.url == REPORT_NOTE for each in report.extension or [])
    # One line each, so that no text can pass for a flag or for a remark of its own.
    lines = report.conclusion.split("\n")
    assert tuple(lines[len(lines) - 1 - len(said) : -1]) == examination.remarks.lines
    assert len(lines) == len(examination.reported.flags) + len(said) + 1


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_every_reference_leads_to_a_resource_of_the_bundle(examination: SlideExamination, export: Export) -> None:
    read = Read(bundle(examination, export))

    assert [read.resources[each.reference] for each in read.report.result] == list(read.observations.values())
    assert len(read.resources) == 1 + len(read.observations) + len(read.of(Device))
    for url, resource in read.resources.items():
        assert url == f"urn:uuid:{resource.id}"
    for observation in read.observations.values():
        device = read.resources[observation.device.reference]
        if examination.reported.model is None:
            assert device.deviceName[0].name == "smearcount"
        else:
            assert device.identifier[0].value == examination.reported.model.sha256
            assert read.resources[device.parent.reference].deviceName[0].name == "smearcount"


@pytest.mark.parametrize(("examination", "of_report", "of_results"), STATUSES.values(), ids=STATUSES)
def test_the_status_follows_the_signature(examination: SlideExamination, of_report: str, of_results: str) -> None:
    read = Read(bundle(examination, EXPORT))

    assert read.report.status == of_report
    assert {observation.status for observation in read.observations.values()} == {of_results}


@settings(max_examples=examples(30))
@given(any_examination(), exports)
def test_only_what_was_signed_twice_is_amended_and_only_what_is_signed_is_final(
    examination: SlideExamination, export: Export
) -> None:
    expected = {(True, True): "amended", (True, False): "final"}.get(
        (examination.is_signed, examination.was_signed_before), "partial"
    )

    assert Read(bundle(examination, export)).report.status == expected


def test_the_report_names_panel_slide_signer_and_flags() -> None:
    report = Read(bundle(signed(), EXPORT)).report

    assert [(coding.system, coding.code) for coding in report.code.coding] == [("http://loinc.org", "69738-3")]
    assert report.subject is None
    assert (report.specimen[0].identifier.system, report.specimen[0].identifier.value) == (SLIDE_SYSTEM, "S-1234")
    assert report.resultsInterpreter[0].display == "M. Müller"
    assert report.issued == SIGNED_AT
    assert report.effectiveDateTime == tally().first_image_at
    flags = signed().reported.flags
    assert [concept.coding[0].code for concept in report.conclusionCode] == [flag.code for flag in flags]
    assert {(concept.coding[0].system, concept.coding[0].version) for concept in report.conclusionCode} == {
        (FLAG_SYSTEM, "2")
    }
    assert report.conclusion.splitlines() == [
        *(flag.message for flag in flags),
        "Research use only until validated on site.",
    ]


def test_what_is_not_signed_names_no_one_and_was_issued_at_the_export() -> None:
    report = Read(bundle(examined(reviewed=reviewed_tally()), EXPORT)).report

    assert report.resultsInterpreter is None
    assert report.issued == EXPORT.at


def test_the_devices_are_smearcount_and_the_model_by_its_sha256() -> None:
    software, model = Read(bundle(signed(), EXPORT)).of(Device)

    assert (software.deviceName[0].name, software.version[0].value) == ("smearcount", "0.1.0")
    assert (model.deviceName[0].name, model.version[0].value) == ("smearnet", "1.0.0")
    assert (model.identifier[0].system, model.identifier[0].value) == (MODEL_SYSTEM, MODEL.sha256)


def test_a_slide_without_wbc_has_no_percentages_but_says_why() -> None:
    empty = tally(cells={CellClass.PLATELET: 4}, unidentified=0)
    read = Read(bundle(examined(automatic=empty), EXPORT))
    counting = Read(bundle(examined(automatic=tally(cells={}, status=SlideStatus.COUNTING)), EXPORT))

    for code in (*LOINC_CODES.values(), "19048-8"):
        assert read.observations[code].dataAbsentReason.coding[0].code == "not-applicable"
        assert counting.observations[code].dataAbsentReason.coding[0].code == "temp-unknown"
    assert read.value("platelets-seen") == 4
    assert "no WBC counted" in read.report.conclusion


def test_ids_follow_from_slide_and_export_alone() -> None:
    again = Export(key="another", at=EXPORT.at, version=EXPORT.version)
    first, same, other = bundle(signed(), EXPORT), bundle(signed(), EXPORT), bundle(signed(), again)

    assert first == same
    assert first["id"] != other["id"]
    assert [entry["fullUrl"] for entry in first["entry"]] == [entry["fullUrl"] for entry in other["entry"]]
    assert len({entry["fullUrl"] for entry in first["entry"]}) == len(first["entry"])


def test_models_that_share_a_name_are_different_devices() -> None:
    newer = tally(models=(ModelIdentity(MODEL.name, MODEL.version, "f" * 64),))
    ids = {bundle(examined(automatic=each), EXPORT)["entry"][-1]["fullUrl"] for each in (tally(), newer)}

    assert len(ids) == 2


def test_many_slides_are_one_bundle_per_line() -> None:
    slides = [signed(), examined(automatic=tally(slide="S-2\n{}"))]
    lines = bundles_ndjson(slides, EXPORT).splitlines()

    assert [json.loads(line) for line in lines] == [bundle(each, EXPORT) for each in slides]


def test_loinc_codes_end_with_their_check_digit() -> None:
    loinc = [codes.PANEL, codes.NRBC, *codes.PERCENTS.values()]
    assert {cell_class: code.code for cell_class, code in codes.PERCENTS.items()} == LOINC_CODES
    assert set(codes.PERCENTS) == set(WBC_CLASSES)

    for code in loinc:
        assert code.system == codes.LOINC
        number, _, check = code.code.partition("-")
        # Mod 10 (LOINC Users' Guide): every second digit from the right is doubled, digits are summed.
        digits = [int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(number))]
        assert (10 - sum(digit // 10 + digit % 10 for digit in digits) % 10) % 10 == int(check), code


def test_codes_are_told_apart_and_our_own_are_no_loinc() -> None:
    own = [*codes.COUNTS.values(), codes.PLATELETS, codes.WBC_COUNTED, codes.WBC_CORRECTION, codes.UNIDENTIFIED]
    own += [codes.REVIEWED_CELLS, codes.EXCLUDED_CELLS, codes.BEFORE_REVIEW]

    assert len({code.code for code in own}) == len(own)
    assert {code.system for code in own} == {"urn:smearcount:observations"}
