"""A slide in one line, for lists of many slides: without intervals, and with the codes of the flags alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.ratios import nrbc_per_100_wbc, per_100_wbc
from smearcount.differential.review_rules import ReviewReason, review_reasons
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import Calls, SlideTally
from smearcount.differential.times import utc_text


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideLine:
    """One slide of a list; `line` makes it.

    `images` counts every file of the slide in any state. `percents` has the six WBC classes in customary order, in percent
    of the WBC counted, not rounded; the values are None if no WBC was counted. `nrbc_per_100_wbc` is not rounded either.
    `calls` says whose calls the numbers are made of, and `reviewed_cells` how many cells of the slide people have called,
    whether these calls count here or not. The other numbers are cells or files.
    """

    slide: str
    inbox: str
    status: SlideStatus
    images: int
    wbc_counted: int
    percents: Mapping[CellClass, float | None]
    nrbc_per_100_wbc: float | None
    platelets: int
    unidentified: int
    quarantined: int
    duplicates: int
    pending: int
    flags: tuple[str, ...]
    first_image_at: datetime | None
    completed_at: datetime | None
    reviewed_cells: int
    review_reasons: tuple[ReviewReason, ...]
    calls: Calls

    def as_json(self) -> dict[str, Any]:
        """Return the line as JSON-ready values: times as ISO 8601 in UTC, flags and reasons to review by their codes."""
        return {
            "slide": self.slide,
            "inbox": self.inbox,
            "status": self.status.value,
            "images": self.images,
            "wbc_counted": self.wbc_counted,
            "percents": {cell_class.value: percent for cell_class, percent in self.percents.items()},
            "nrbc_per_100_wbc": self.nrbc_per_100_wbc,
            "platelets": self.platelets,
            "unidentified": self.unidentified,
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
            "pending": self.pending,
            "flags": list(self.flags),
            "first_image_at": None if self.first_image_at is None else utc_text(self.first_image_at),
            "completed_at": None if self.completed_at is None else utc_text(self.completed_at),
            "reviewed_cells": self.reviewed_cells,
            "review_reasons": [reason.code for reason in self.review_reasons],
            "calls": self.calls.value,
        }


def line(
    tally: SlideTally,
    settings: CountSettings,
    *,
    inbox: str,
    reviewed_cells: int,
    signed_flags: tuple[str, ...] | None = None,
) -> SlideLine:
    """Shorten a slide's numbers to one line.

    Args:
        tally: The numbers.
        settings: Those of the site.
        inbox: Name of the inbox that the slide came from.
        reviewed_cells: Counted cells of the slide that a person has called.
        signed_flags: Codes of the flags with which it was signed; None if the settings raise its flags.
    """
    wbc = tally.wbc_counted
    return SlideLine(
        slide=tally.slide,
        inbox=inbox,
        status=tally.status,
        images=tally.images,
        wbc_counted=wbc,
        percents={cell_class: per_100_wbc(tally.cells[cell_class], wbc) for cell_class in WBC_CLASSES},
        nrbc_per_100_wbc=nrbc_per_100_wbc(tally),
        platelets=tally.cells[CellClass.PLATELET],
        unidentified=tally.unidentified,
        quarantined=tally.quarantined,
        duplicates=tally.duplicates,
        pending=tally.pending,
        flags=tuple(flag.code for flag in slide_flags(tally, settings)) if signed_flags is None else signed_flags,
        first_image_at=tally.first_image_at,
        completed_at=tally.completed_at,
        reviewed_cells=reviewed_cells,
        review_reasons=review_reasons(tally, settings),
        calls=tally.calls,
    )
