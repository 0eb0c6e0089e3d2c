"""Messages as a destination wants them, made of what is to be told."""

import json
from datetime import datetime
from typing import Final

from smearcount.db.queries.outgoing import Outgoing
from smearcount.delivery.destinations import (
    Destination,
    FhirDestination,
    FolderDestination,
    Form,
    Hl7Fields,
    Lis2Destination,
    MllpDestination,
    WebhookDestination,
)
from smearcount.differential.forms import fhir, hl7, lis2
from smearcount.differential.forms.disposition import Disposition
from smearcount.differential.forms.examination import Export

#: What a webhook calls the event.
_EVENTS: Final = {
    Disposition.PRELIMINARY: "slide.counted",
    Disposition.FINAL: "slide.signed",
    Disposition.CORRECTED: "slide.corrected",
    Disposition.UNVERIFIED: "slide.reopened",
    Disposition.WITHDRAWN: "slide.withdrawn",
}


def wants(destination: Destination, told: Outgoing, *, knows_slide: bool) -> bool:
    """Return whether a destination gets a message of what is to be told.

    A slide that it was told of once is followed, whatever its flags are now; and that a result was taken back, only who had it
    needs to hear.
    """
    if told.disposition.takes_back:
        return knows_slide and destination.retractions
    if told.disposition is Disposition.PRELIMINARY and not destination.preliminary:
        return False
    if destination.inboxes and told.examination.inbox not in destination.inboxes:
        return False
    if destination.flags and not knows_slide:
        raised = {flag.code for flag in told.examination.reported.flags}
        return not raised.isdisjoint(destination.flags)
    return True


def composed(
    destination: Destination, told: Outgoing, *, at: datetime, version: str, edition: int = 0
) -> tuple[str, str]:
    """Return a message's control id and its text.

    Args:
        destination: where it goes.
        told: what is to be told.
        at: when the message is made.
        version: version of smearcount.
        edition: 0 at first; another number each time that a person lets it be made anew, for another control id.
    """
    # With the moment: after a backup was restored, other things happen under the numbers of the outbox that were used before.
    key = f"{destination.name}/{told.happening.id}/{told.happening.at.isoformat()}" + (f"/{edition}" if edition else "")
    export = Export(key=key, at=at, version=version)
    control_id = hl7.control_id(told.examination, export)
    match destination:
        case MllpDestination():
            return control_id, _hl7(destination, told, export)
        case FolderDestination():
            return control_id, _in_form(destination, told, export, control_id)
        case FhirDestination():
            return control_id, _fhir(told, export, by_identifier=destination.by_identifier)
        case WebhookDestination():
            return control_id, _json(told, export, control_id)
        case Lis2Destination():
            return control_id, lis2.records(
                told.examination, export, told.disposition, control_id=control_id, codes=destination.codes,
                wanted=destination.observations,
            )  # fmt: skip
    raise ValueError(f"no message is made for {destination.shown}")


def _in_form(destination: FolderDestination, told: Outgoing, export: Export, control_id: str) -> str:
    match destination.form:
        case Form.HL7:
            return _hl7(destination, told, export)
        case Form.FHIR:
            return _fhir(told, export, by_identifier=False)
        case Form.JSON:
            return _json(told, export, control_id)
        case Form.LIS2:
            return lis2.records(
                told.examination, export, told.disposition, control_id=control_id, codes=destination.codes,
                wanted=destination.observations,
            )  # fmt: skip


def _hl7(fields: Hl7Fields, told: Outgoing, export: Export) -> str:
    return hl7.oru(told.examination, export, fields.profile, told.disposition)


def _fhir(told: Outgoing, export: Export, *, by_identifier: bool) -> str:
    bundle = fhir.transaction(told.examination, export, told.disposition, by_identifier=by_identifier)
    return json.dumps(bundle, allow_nan=False)


def _json(told: Outgoing, export: Export, control_id: str) -> str:
    document = {
        "type": _EVENTS[told.disposition],
        "id": control_id,
        # Grows with everything that happens: of one slide's messages, the one with the greatest number holds.
        "sequence": told.happening.id,
        "disposition": told.disposition.value,
        "timestamp": told.happening.at.isoformat(),
        "data": told.examination.as_json(export),
    }
    return json.dumps(document, allow_nan=False)
