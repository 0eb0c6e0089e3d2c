"""The result of a slide in FHIR R4 (https://hl7.org/fhir/R4): a Bundle with a DiagnosticReport and what it refers to.

The resources are DiagnosticReport (https://hl7.org/fhir/R4/diagnosticreport.html), Observation and Device. smearcount knows
slides, not patients: the Bundle has no Patient, and names the slide as the specimen. The receiver adds the subject by the
slide's name.
"""

import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from smearcount.differential.classes import DISPLAY_NAMES
from smearcount.differential.counts_document import SCHEMA_VERSION, Remark
from smearcount.differential.flags import Flag
from smearcount.differential.forms import codes
from smearcount.differential.forms.codes import Code, Unit
from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.examination import METHODS, Export, SlideExamination, derived_id
from smearcount.differential.forms.observations import Observation, observations
from smearcount.differential.forms.remarks import author, text_of
from smearcount.differential.forms.wording import RESEARCH_USE, named, printable, slide_identifier
from smearcount.differential.intervals import Interval
from smearcount.differential.model import ModelIdentity
from smearcount.differential.ratios import RangeFlag
from smearcount.differential.status import Status
from smearcount.differential.times import utc_text

Resource = dict[str, Any]

#: FHIR's extension of Quantity: https://hl7.org/fhir/extensions/StructureDefinition-quantity-confidenceInterval.html
CONFIDENCE_INTERVAL = "http://hl7.org/fhir/StructureDefinition/quantity-confidenceInterval"

#: Extension of DiagnosticReport by what R5 has as its `note`: https://hl7.org/fhir/R4/versions.html#extensions
REPORT_NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"

#: Local identifier systems.
SLIDE_SYSTEM = "urn:smearcount:slide"
MODEL_SYSTEM = "urn:smearcount:model-sha256"
FLAG_SYSTEM = "urn:smearcount:flags"

_UCUM = "http://unitsofmeasure.org"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"

_INTERPRETATIONS = {RangeFlag.LOW: ("L", "Low"), RangeFlag.HIGH: ("H", "High"), None: ("N", "Normal")}


#: Statuses of DiagnosticReport and of Observation.
_STATUSES = {
    Disposition.PRELIMINARY: ("partial", "preliminary"),
    Disposition.FINAL: ("final", "final"),
    Disposition.CORRECTED: ("amended", "amended"),
    Disposition.UNVERIFIED: ("partial", "preliminary"),
    Disposition.WITHDRAWN: ("entered-in-error", "entered-in-error"),
}


def bundle(examination: SlideExamination, export: Export) -> Resource:
    """Return one slide's result as a FHIR R4 Bundle (collection), JSON-ready.

    The report's status is `partial` until the slide is signed, then `final`; it is `amended` if an earlier signature was
    taken back. The ids of the report and of its observations depend on the slide, the Bundle's id on slide and export: a
    newer export replaces an older one. Percentages are rounded to two decimals; the raw counts beside them are exact.
    """
    bundle_id = str(derived_id("bundle", examination.report_id, export.key))
    return {
        "resourceType": "Bundle",
        "id": bundle_id,
        "identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{bundle_id}"},
        "type": "collection",
        "timestamp": utc_text(export.at),
        "entry": [
            {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
            for resource in _resources(examination, export, Disposition.of(examination))
        ],
    }


def transaction(
    examination: SlideExamination, export: Export, disposition: Disposition, *, by_identifier: bool = False
) -> Resource:
    """Return one slide's result as a FHIR R4 Bundle (transaction), JSON-ready, which a server carries out whole or not at all.

    Each resource is put in the place of the one that was sent before, so that sending it twice changes nothing. A server does
    so by the ids of the resources, or, if it makes its own ids, by their identifiers (conditional update).

    Args:
        examination: the slide.
        export: names the message and tells its time.
        disposition: what the message says of the result.
        by_identifier: whether the server makes its own ids.
    """
    entries = []
    for resource in _resources(examination, export, disposition):
        kind, identity = resource["resourceType"], str(resource["id"])
        value = f"urn:uuid:{identity}"
        if by_identifier:
            # The identifiers of a Device are those of its maker; ours comes beside them.
            own = {"system": "urn:ietf:rfc:3986", "value": value}
            others = [one for one in resource.get("identifier", ()) if one != own]
            resource = {**resource, "identifier": [own, *others]}  # noqa: PLW2901
            del resource["id"]
        address = f"{kind}?identifier=urn:ietf:rfc:3986|{value}" if by_identifier else f"{kind}/{identity}"
        entries.append({"fullUrl": value, "resource": resource, "request": {"method": "PUT", "url": address}})
    return {"resourceType": "Bundle", "type": "transaction", "timestamp": utc_text(export.at), "entry": entries}


def _resources(examination: SlideExamination, export: Export, disposition: Disposition) -> list[Resource]:
    """Return the report, its observations and the devices."""
    devices = _devices(examination.reported.model, examination.version or export.version)
    device = _reference_to(devices[-1], "Device")
    status = _STATUSES[disposition]
    results = [
        _observation(observation, examination, export, device=device, status=status[1])
        for observation in observations(examination)
    ]
    return [_report(examination, export, results, status[0]), *results, *devices]


def bundles_ndjson(examinations: Iterable[SlideExamination], export: Export) -> str:
    """Return the results of many slides, one Bundle per line (NDJSON, the format of FHIR's Bulk Data Access)."""
    return "".join(json.dumps(bundle(each, export), allow_nan=False) + "\n" for each in examinations)


def _report(examination: SlideExamination, export: Export, results: list[Resource], status: str) -> Resource:
    result = examination.reported
    report: Resource = {
        "resourceType": "DiagnosticReport",
        "id": str(examination.report_id),
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{examination.report_id}"}],
        "status": status,
        "category": [{"coding": [{"system": f"{_TERMINOLOGY}/v2-0074", "code": "HM", "display": "Hematology"}]}],
        "code": _concept(codes.PANEL),
        **_times(examination, export),
        "specimen": [_specimen(examination)],
        "result": [_reference_to(each, "Observation") for each in results],
        "conclusion": "\n".join(
            [*(printable(flag.message) for flag in result.flags), *examination.remarks.lines, RESEARCH_USE]
        ),
    }
    if examination.remarks.said:
        report["extension"] = [_note(remark) for remark in examination.remarks.said]
    if examination.signed_by is not None:
        report["resultsInterpreter"] = [{"display": named(examination.signed_by, "unnamed")}]
    if result.flags:
        report["conclusionCode"] = [_flag_concept(flag) for flag in result.flags]
    return report


def _note(remark: Remark) -> Resource:
    note = {"authorString": author(remark), "time": utc_text(remark.at), "text": text_of(remark)}
    return {"url": REPORT_NOTE, "valueAnnotation": note}


def _observation(
    observation: Observation, examination: SlideExamination, export: Export, *, device: Resource, status: str
) -> Resource:
    resource: Resource = {
        "resourceType": "Observation",
        "id": str(derived_id("observation", examination.report_id, observation.code.code)),
        "status": status,
        "category": [
            {
                "coding": [
                    {"system": f"{_TERMINOLOGY}/observation-category", "code": "laboratory", "display": "Laboratory"}
                ]
            }
        ],
        "code": _concept(observation.code),
        **_times(examination, export),
        **_value(observation, examination),
    }
    if observation.reference is not None and observation.value is not None:
        resource["interpretation"] = [_interpretation(observation)]
    if observation.basis is not None:
        resource["note"] = [{"text": observation.basis}]
    resource["method"] = {"text": METHODS[examination.method]}
    resource["specimen"] = _specimen(examination)
    resource["device"] = device
    if observation.reference is not None:
        resource["referenceRange"] = [_range(observation.reference, observation.unit)]
    if observation.before_review is not None:
        before = _quantity(observation.before_review, observation.unit)
        resource["component"] = [{"code": _concept(codes.BEFORE_REVIEW), "valueQuantity": before}]
    return resource


def _interpretation(observation: Observation) -> Resource:
    """Return how a number stands to its reference range.

    HL7 has no code for a number outside its range that cannot be told from one within: it is sent as our own code and in words,
    since a receiver would take any of L, H and N for a statement that nobody makes.
    """
    if observation.borderline is not None:
        return _flag_concept(observation.borderline)
    code, display = _INTERPRETATIONS[observation.flag]
    system = f"{_TERMINOLOGY}/v3-ObservationInterpretation"
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _flag_concept(flag: Flag) -> Resource:
    coding = {"system": FLAG_SYSTEM, "version": str(SCHEMA_VERSION), "code": flag.code}
    return {"coding": [coding], "text": printable(flag.message)}


def _value(observation: Observation, examination: SlideExamination) -> Resource:
    if observation.value is None:
        expected = examination.status is Status.COUNTING
        reason = ("temp-unknown", "Temporarily Unknown") if expected else ("not-applicable", "Not Applicable")
        coding = {"system": f"{_TERMINOLOGY}/data-absent-reason", "code": reason[0], "display": reason[1]}
        return {"dataAbsentReason": {"coding": [coding], "text": "No WBC counted."}}
    quantity = _quantity(observation.value, observation.unit)
    if observation.interval is not None:
        extension = {
            "url": CONFIDENCE_INTERVAL,
            "extension": [
                {"url": "confidence", "valueDecimal": 95},
                {"url": "interval", "valueRange": _range(observation.interval, observation.unit)},
            ],
        }
        quantity = {"extension": [extension], **quantity}
    return {"valueQuantity": quantity}


def _devices(model: ModelIdentity | None, version: str) -> list[Resource]:
    """Return the devices: this version of smearcount, then the model if it has made a call.

    The last one is the observations' device.
    """
    software: Resource = {
        "resourceType": "Device",
        "id": str(derived_id("software", version)),
        "deviceName": [{"name": "smearcount", "type": "model-name"}],
        "type": {"text": "Software that counts a blood smear's cell images"},
        "version": [{"value": named(version, "unknown")}],
        "note": [{"text": RESEARCH_USE}],
    }
    if model is None:
        return [software]
    return [
        software,
        {
            "resourceType": "Device",
            "id": str(derived_id("model", model.name, model.version, model.sha256)),
            "identifier": [{"system": MODEL_SYSTEM, "value": model.sha256}],
            "deviceName": [{"name": named(model.name, "unnamed"), "type": "model-name"}],
            "type": {"text": "Neural network that classifies cell images"},
            "version": [{"value": named(model.version, "unknown")}],
            "parent": _reference_to(software, "Device"),
        },
    ]


def _times(examination: SlideExamination, export: Export) -> Resource:
    """Return when the first image came, since nobody knows when the blood was drawn, and when the result was issued."""
    first = examination.reported.first_image_at
    times = {} if first is None else {"effectiveDateTime": utc_text(first)}
    return times | {"issued": utc_text(examination.signed_at or export.at)}


def _specimen(examination: SlideExamination) -> Resource:
    name = slide_identifier(examination.slide, examination.slide_id)
    return {"type": "Specimen", "identifier": {"system": SLIDE_SYSTEM, "value": name}, "display": name}


def _concept(code: Code) -> Resource:
    coding = {"system": code.system, "code": code.code, "display": code.display}
    return {"coding": [coding], "text": _TEXTS.get(code, code.display)}


#: Short names for people in place of LOINC's long ones.
_TEXTS = {code: DISPLAY_NAMES[cell_class] for cell_class, code in codes.PERCENTS.items()} | {
    codes.NRBC: "nRBC per 100 WBC",
    codes.PANEL: "Differential count",
}


def _quantity(value: float, unit: Unit) -> Resource:
    quantity: Resource = {"value": value, "unit": unit.display, "system": _UCUM, "code": unit.code}
    return quantity if unit.display else {name: part for name, part in quantity.items() if name != "unit"}


def _range(interval: Interval, unit: Unit) -> Resource:
    return {"low": _quantity(interval.low, unit), "high": _quantity(interval.high, unit)}


def _reference_to(resource: Resource, kind: str) -> Resource:
    return {"reference": f"urn:uuid:{UUID(resource['id'])}", "type": kind}
