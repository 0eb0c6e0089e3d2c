"""The examination of a slide, from which every form is made: both counts, the review and the signature."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from smearcount.differential.counts_document import SlideCountsDocument
from smearcount.differential.forms.remarks import Remarks
from smearcount.differential.report import SlideReport, report
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus, Status
from smearcount.differential.tally import Calls, CallsAsked, SlideTally
from smearcount.differential.times import utc_text

#: All ids in forms are derived from this one (UUID version 5), so that a slide has the same ids in every export.
_NAMESPACE = uuid5(NAMESPACE_URL, "urn:smearcount:forms")


class Method(StrEnum):
    """The way in which a result was obtained."""

    AUTOMATIC = "automatic"
    IN_REVIEW = "in-review"
    REVIEWED = "reviewed"


#: The methods in words.
METHODS: dict[Method, str] = {
    Method.AUTOMATIC: "Cell images classified by a neural network, not reviewed",
    Method.IN_REVIEW: "Cell images classified by a neural network, review by a person not finished",
    Method.REVIEWED: "Cell images classified by a neural network, reviewed by a person",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """One export, as the caller describes it to a form: forms read no clock and make no random ids.

    `key` names the export (any text, another one each time), `at` is its time, `version` is the version of smearcount.

    Raises:
        ValueError: The time has no time zone.
    """

    key: str
    at: datetime
    version: str

    def __post_init__(self) -> None:
        utc_text(self.at)

    def as_json(self) -> dict[str, Any]:
        """Return the export as JSON-ready values, a part of the JSON of an examination."""
        return {"key": self.key, "at": utc_text(self.at), "version": self.version}


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """The work of people on a slide.

    `cells` is the number of cells that a person has called, with the same class as the model or another one. `signed_by`
    and `signed_at` belong to the signature in force; they are None without one. `was_signed_before` is true if an earlier
    signature was taken back, by reopening or by a late image: a later signature corrects a result that somebody may have
    acted on already.
    """

    cells: int = 0
    signed_by: str | None = None
    signed_at: datetime | None = None
    was_signed_before: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideExamination:
    """One slide as forms show it; `examination` makes it from tallies, and it can be made from finished reports.

    `reviewed` is None while no person has called a cell; `reviewed_cells` is the number of cells that people have called.
    `remarks` are what people wrote and what they took out of the count. `version` is that of the smearcount that made the
    result; None if it is the one that exports. The other fields are those of Review.

    Raises:
        ValueError: The parts contradict each other, for example a signature on a slide that is not signed.
    """

    slide_id: int
    inbox: str
    status: Status
    automatic: SlideReport
    reviewed: SlideReport | None
    reviewed_cells: int
    signed_by: str | None
    signed_at: datetime | None
    was_signed_before: bool
    remarks: Remarks
    version: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Status(self.status))
        if self.signed_at is not None:
            utc_text(self.signed_at)
        if {self.signed_by is not None, self.signed_at is not None} != {self.is_signed}:
            raise ValueError(f"a slide that is {self.status} has signed_by={self.signed_by!r} at {self.signed_at}")
        if self.is_signed and self.reported.status is not SlideStatus.COMPLETE:
            raise ValueError("a slide that is still being counted cannot be signed")
        if self.reviewed is None and self.reviewed_cells:
            raise ValueError(f"{self.reviewed_cells} cells were reviewed, but there is no reviewed count")
        if self.reviewed is not None and self.reviewed.slide != self.automatic.slide:
            raise ValueError("the two counts are of different slides")
        if [report.calls for _, report in self.reports] != [calls for calls, _ in self.reports]:
            raise ValueError("a count is labelled with other calls than it is made of")

    @property
    def slide(self) -> str:
        """Name of the slide."""
        return self.automatic.slide

    @property
    def is_signed(self) -> bool:
        """Whether a person answers for the result."""
        return self.status is Status.SIGNED

    @property
    def is_amended(self) -> bool:
        """Whether the result replaces one that was signed earlier."""
        return self.is_signed and self.was_signed_before

    @property
    def reported(self) -> SlideReport:
        """The count that is the result: the reviewed one if a person has called a cell, else the automatic one."""
        return self.automatic if self.reviewed is None else self.reviewed

    @property
    def calls(self) -> Calls:
        """Whose calls the result is made of."""
        return Calls.AUTOMATIC if self.reviewed is None else Calls.REVIEWED

    @property
    def method(self) -> Method:
        """The way in which the result was obtained; a person who signs has reviewed the cells, even without a call."""
        if self.is_signed:
            return Method.REVIEWED
        return Method.AUTOMATIC if self.reviewed is None else Method.IN_REVIEW

    @property
    def reports(self) -> Iterator[tuple[Calls, SlideReport]]:
        """The automatic count, then the reviewed one if there is one: the last one is the result."""
        yield Calls.AUTOMATIC, self.automatic
        if self.reviewed is not None:
            yield Calls.REVIEWED, self.reviewed

    def by(self, calls: CallsAsked) -> tuple[SlideReport, ...]:
        """Return the counts by the calls asked for, the automatic one first."""
        return calls.of(self.automatic, self.reviewed)

    @property
    def report_id(self) -> UUID:
        """The id of the slide's report, the same in every export and every form, so that a newer report replaces it.

        Slides of two installations may have the same number; inbox, name and time of the first image distinguish them.
        """
        first = self.automatic.first_image_at
        return derived_id("slide", self.slide_id, self.inbox, self.slide, None if first is None else utc_text(first))

    def counts_document(self, calls: CallsAsked) -> SlideCountsDocument:
        """Return the slide as `smearcount counts` prints it; of both counts the reviewed one comes first."""
        return SlideCountsDocument.of(
            self.by(calls)[-1].document,
            reviewed_cells=self.reviewed_cells,
            automatic=self.automatic.document,
            reviewed=None if self.reviewed is None else self.reviewed.document,
            signed_by=self.signed_by,
            signed_at=self.signed_at,
            excluded=self.remarks.excluded,
            remarks=self.remarks.said,
        )

    def as_json(self, export: Export) -> dict[str, Any]:
        """Return the examination as JSON-ready values, not rounded; examination.schema.json describes them."""
        counted = self.counts_document(CallsAsked.BOTH).as_json()
        return {
            "report_id": str(self.report_id),
            "slide_id": self.slide_id,
            "slide": self.slide,
            "inbox": self.inbox,
            "status": self.status.value,
            **{name: counted[name] for name in ("automatic", "reviewed", "reviewed_cells", "signed_by", "signed_at")},
            "was_signed_before": self.was_signed_before,
            "excluded": counted["excluded"],
            "remarks": counted["remarks"],
            "export": export.as_json(),
        }


def examination(
    *,
    slide_id: int,
    inbox: str,
    automatic: SlideTally,
    reviewed: SlideTally,
    review: Review,
    remarks: Remarks,
    settings: CountSettings,
) -> SlideExamination:
    """Apply the rules of the field to both tallies of a slide.

    If no cell was reviewed, both tallies are equal, and only the automatic one is used.

    Raises:
        ValueError: See SlideExamination.
    """
    signed = review.signed_by is not None
    return SlideExamination(
        slide_id=slide_id,
        inbox=inbox,
        status=Status.of(automatic.status, is_signed=signed),
        automatic=report(automatic, settings),
        reviewed=report(reviewed, settings) if review.cells else None,
        reviewed_cells=review.cells,
        signed_by=review.signed_by,
        signed_at=review.signed_at,
        was_signed_before=review.was_signed_before,
        remarks=remarks,
    )


def derived_id(*parts: object) -> UUID:
    """Return an id (UUID version 5) that depends on the parts alone and is the same on every machine."""
    # JSON, so that ("ab", "c") and ("a", "bc") have different ids; in ASCII, so that every name has one.
    return uuid5(_NAMESPACE, json.dumps(parts, default=str))
