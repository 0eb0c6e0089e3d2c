"""A slide with everything that a form says about it: both counts, the review and the signature."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from smearcount.differential.report import SlideReport, report
from smearcount.differential.settings import CountSettings
from smearcount.differential.tally import Calls, SlideStatus, SlideTally
from smearcount.differential.times import utc_text

#: Every id in a form is derived from this one, so that the same slide has the same ids at every export.
_NAMESPACE = uuid5(NAMESPACE_URL, "urn:smearcount:forms")


class ExaminationStatus(StrEnum):
    """How far a slide has come; only a signed one is a result that a person answers for."""

    COUNTING = "counting"
    COMPLETE = "complete"
    SIGNED = "signed"


class Method(StrEnum):
    """How a result came to be."""

    AUTOMATIC = "automatic"
    IN_REVIEW = "in-review"
    REVIEWED = "reviewed"


#: In words.
METHODS: dict[Method, str] = {
    Method.AUTOMATIC: "Cell images classified by a neural network, not reviewed",
    Method.IN_REVIEW: "Cell images classified by a neural network, review by a person not finished",
    Method.REVIEWED: "Cell images classified by a neural network, reviewed by a person",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What is told to a form from outside, for it neither reads a clock nor makes up an id.

    `key` names this export (any text, a new one for each), `at` is its time, `version` that of smearcount.

    Raises:
        ValueError: the time has no time zone.
    """

    key: str
    at: datetime
    version: str

    def __post_init__(self) -> None:
        utc_text(self.at)

    def as_json(self) -> dict[str, Any]:
        """Return the export as it stands in the JSON of an examination."""
        return {"key": self.key, "at": utc_text(self.at), "version": self.version}


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """What people did to a slide.

    They called so many `cells`, as the model had or otherwise. `signed_by` and `signed_at` are those of the signature
    in force, None without one. `was_signed_before` is true if an earlier signature was taken back, by reopening or by
    a late image: what is signed after that corrects something that may already have been acted on.
    """

    cells: int = 0
    signed_by: str | None = None
    signed_at: datetime | None = None
    was_signed_before: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideExamination:
    """One slide as forms tell of it; made by `examination`, from tallies, or of finished reports.

    `reviewed` is None as long as no person has called a cell, `reviewed_cells` how many were; the rest as in
    Review.

    Raises:
        ValueError: the parts contradict each other, such as a signature on a slide that is not signed.
    """

    slide_id: int
    inbox: str
    status: ExaminationStatus
    automatic: SlideReport
    reviewed: SlideReport | None
    reviewed_cells: int
    signed_by: str | None
    signed_at: datetime | None
    was_signed_before: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", ExaminationStatus(self.status))
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

    @property
    def slide(self) -> str:
        """Name of the slide."""
        return self.automatic.slide

    @property
    def is_signed(self) -> bool:
        """Whether a person answers for what is reported."""
        return self.status is ExaminationStatus.SIGNED

    @property
    def is_amended(self) -> bool:
        """Whether what is reported replaces a result that was signed earlier."""
        return self.is_signed and self.was_signed_before

    @property
    def reported(self) -> SlideReport:
        """The count that is the result: the reviewed one where a person called a cell, else the automatic one."""
        return self.automatic if self.reviewed is None else self.reviewed

    @property
    def calls(self) -> Calls:
        """Whose calls the result goes by."""
        return Calls.AUTOMATIC if self.reviewed is None else Calls.REVIEWED

    @property
    def method(self) -> Method:
        """How the result came to be; who signs without calling a cell has reviewed them all the same."""
        if self.is_signed:
            return Method.REVIEWED
        return Method.AUTOMATIC if self.reviewed is None else Method.IN_REVIEW

    @property
    def reports(self) -> Iterator[tuple[Calls, SlideReport]]:
        """The counts there are, the result last."""
        yield Calls.AUTOMATIC, self.automatic
        if self.reviewed is not None:
            yield Calls.REVIEWED, self.reviewed

    @property
    def report_id(self) -> UUID:
        """The id of the slide's report, the same at every export and in every form, so that a newer one replaces it.

        Slides of two installations may have the same number; inbox, name and first image tell them apart.
        """
        first = self.automatic.first_image_at
        return derived_id("slide", self.slide_id, self.inbox, self.slide, None if first is None else utc_text(first))

    def as_json(self, export: Export) -> dict[str, Any]:
        """Return the slide as JSON-ready values; examination.schema.json describes each. Nothing is rounded."""
        return {
            "report_id": str(self.report_id),
            "slide_id": self.slide_id,
            "slide": self.slide,
            "inbox": self.inbox,
            "status": self.status.value,
            "automatic": self.automatic.as_json(),
            "reviewed": None if self.reviewed is None else self.reviewed.as_json(),
            "reviewed_cells": self.reviewed_cells,
            "signed_by": self.signed_by,
            "signed_at": None if self.signed_at is None else utc_text(self.signed_at),
            "was_signed_before": self.was_signed_before,
            "export": export.as_json(),
        }


def examination(
    *,
    slide_id: int,
    inbox: str,
    automatic: SlideTally,
    reviewed: SlideTally,
    review: Review,
    settings: CountSettings,
) -> SlideExamination:
    """Apply the rules of the field to both tallies of a slide.

    Without a reviewed cell both tallies are the same, and only the automatic one is kept.

    Raises:
        ValueError: see SlideExamination.
    """
    signed = review.signed_by is not None
    return SlideExamination(
        slide_id=slide_id,
        inbox=inbox,
        status=ExaminationStatus.SIGNED if signed else ExaminationStatus(automatic.status.value),
        automatic=report(automatic, settings),
        reviewed=report(reviewed, settings) if review.cells else None,
        reviewed_cells=review.cells,
        signed_by=review.signed_by,
        signed_at=review.signed_at,
        was_signed_before=review.was_signed_before,
    )


def derived_id(*parts: object) -> UUID:
    """Return an id that follows from the parts alone, the same on every machine."""
    # JSON, so that ("ab", "c") and ("a", "bc") differ; ASCII, so that any name has an id.
    return uuid5(_NAMESPACE, json.dumps(parts, default=str))
