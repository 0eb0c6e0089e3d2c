"""The result that a person signed, as it is kept: finished numbers, so that no later rule, range or model changes them.

The snapshot is stored as JSON beside the signature. Everything that shows or exports the signed result takes its reports
from here for as long as the signature holds.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

from smearcount.differential.classes import CellClass
from smearcount.differential.flags import Flag
from smearcount.differential.model import ModelIdentity, ModelUsed
from smearcount.differential.ratios import RangeFlag
from smearcount.differential.report import DifferentialRow, SlideReport
from smearcount.differential.review_rules import ReviewReason
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SigningRules
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls

#: Number of the form that `as_json` writes; a later form has another one, and this one stays readable.
FORM = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedResult:
    """What a person signed; `reviewed` equals `automatic` where no cell was called by a person."""

    automatic: SlideReport
    reviewed: SlideReport
    #: Cells that a person has called.
    reviewed_cells: int
    #: Every model with a call that counts, newest first.
    models: tuple[ModelUsed, ...]
    #: The settings of the differential, as JSON-ready values: reference ranges, minimum WBC, and the others.
    settings: Mapping[str, Any]
    #: Version of smearcount that made the result.
    version: str

    @classmethod
    def made(
        cls,
        *,
        automatic: SlideReport,
        reviewed: SlideReport,
        reviewed_cells: int,
        models: tuple[ModelUsed, ...],
        rules: SigningRules,
    ) -> Self:
        """Return the result that is signed by these rules; once signed, it asks for no person."""
        return cls(
            automatic=replace(automatic, review_reasons=()),
            reviewed=replace(reviewed, review_reasons=()),
            reviewed_cells=reviewed_cells,
            models=models,
            settings=settings_json(rules.counts),
            version=rules.version,
        )

    def called(self, slide: str) -> Self:
        """Return the result under the name that the slide has now: its folder may have been renamed after a typing error."""
        return replace(
            self, automatic=replace(self.automatic, slide=slide), reviewed=replace(self.reviewed, slide=slide)
        )

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready values, not rounded; `of` reads them back."""
        return {
            "form": FORM,
            "automatic": self.automatic.as_json(),
            "reviewed": self.reviewed.as_json(),
            "reviewed_cells": self.reviewed_cells,
            "models": [asdict(model) for model in self.models],
            "settings": dict(self.settings),
            "version": self.version,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the result that `as_json` wrote."""
        return cls(
            automatic=report_of(document["automatic"]),
            reviewed=report_of(document["reviewed"]),
            reviewed_cells=document["reviewed_cells"],
            models=tuple(ModelUsed(**model) for model in document["models"]),
            settings=document["settings"],
            version=document["version"],
        )


def settings_json(settings: CountSettings) -> dict[str, Any]:
    """Return the settings of the differential as JSON-ready values."""
    return settings.model_dump(mode="json")


def report_of(document: Mapping[str, Any]) -> SlideReport:
    """Return the report whose JSON this is (see `SlideReport.as_json`), equal to the one that wrote it."""
    model = document["model"]
    return SlideReport(
        slide=document["slide"],
        status=SlideStatus(document["status"]),
        model=None if model is None else ModelIdentity(model["name"], model["version"], model["sha256"]),
        cells={cell_class: document["cells"][cell_class.value] for cell_class in CellClass},
        wbc_counted=document["wbc_counted"],
        differential=tuple(_row(row) for row in document["differential"]),
        nrbc_per_100_wbc=document["nrbc_per_100_wbc"],
        wbc_correction_factor=document["wbc_correction_factor"],
        platelets=document["platelets"],
        unidentified=document["unidentified"],
        pending=document["pending"],
        quarantined=document["quarantined"],
        duplicates=document["duplicates"],
        flags=tuple(Flag(flag["code"], flag["message"]) for flag in document["flags"]),
        review_reasons=tuple(ReviewReason(one["code"], one["message"]) for one in document["review_reasons"]),
        first_image_at=_moment(document["first_image_at"]),
        completed_at=_moment(document["completed_at"]),
        calls=Calls(document["calls"]),
    )


def _row(row: Mapping[str, Any]) -> DifferentialRow:
    reference = row["reference"] or {"low": None, "high": None}
    return DifferentialRow(
        cell_class=CellClass(row["class"]),
        count=row["count"],
        percent=row["percent"],
        ci95_low=row["ci95"]["low"],
        ci95_high=row["ci95"]["high"],
        reference_low=reference["low"],
        reference_high=reference["high"],
        flag=None if row["flag"] is None else RangeFlag(row["flag"]),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
