"""The parts of a slide's page beside the cells: both differentials as one table, flags, and progress."""

from dataclasses import dataclass
from functools import cached_property

from smearcount.db.queries.slides import BothReports, SlideSummary
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.flags import Flag
from smearcount.differential.ratios import per_100_wbc
from smearcount.differential.report import DifferentialRow, SlideReport
from smearcount.differential.review_rules import ReviewReason
from smearcount.differential.signing.policy import Obstacle, SigningRules
from smearcount.differential.status import Status
from smearcount.differential.tally import SlideTally
from smearcount.web.pages.parts.bars import RangeBar, StackedBar, range_bar, stacked_bar
from smearcount.web.pages.parts.labels import CLASSES, ClassLabels


@dataclass(frozen=True, slots=True)
class WbcLine:
    """A line of the differential, for one WBC class: reviewed and automatic count, and the bar of the reviewed one."""

    labels: ClassLabels
    reviewed: DifferentialRow
    automatic: DifferentialRow
    bar: RangeBar | None

    @property
    def change(self) -> int:
        """The number of cells by which the review has changed the class."""
        return self.reviewed.count - self.automatic.count


@dataclass(frozen=True, slots=True)
class OtherLine:
    """A line for cells outside the denominator; the ratios are None except for erythroblasts."""

    labels: ClassLabels
    count: int
    automatic: int
    per_100_wbc: float | None
    automatic_per_100_wbc: float | None

    @property
    def change(self) -> int:
        """The number of cells by which the review has changed the count."""
        return self.count - self.automatic


@dataclass(frozen=True)
class Summary:
    """A slide and its results; the reviewed result comes first."""

    slide: SlideSummary
    rules: SigningRules

    @cached_property
    def _reports(self) -> BothReports:
        return self.slide.reports(self.rules.counts)

    @property
    def result(self) -> SlideReport:
        """The result by people's calls where there are any, and the model's elsewhere."""
        return self._reports.reviewed

    @property
    def automatic(self) -> SlideReport:
        """The result by the model's calls alone."""
        return self._reports.automatic

    @cached_property
    def digest(self) -> str:
        """What names this result in a sign-off."""
        return self.slide.digest(self.rules.counts)

    @cached_property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """What stands in the way of a signature."""
        return self.slide.obstacles(self.rules)

    @property
    def bar(self) -> StackedBar:
        """The differential as one bar."""
        return stacked_bar(self.slide.reviewed.cells)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The flags of the reviewed result."""
        return self.result.flags

    @property
    def reasons(self) -> tuple[ReviewReason, ...]:
        """Why the slide asks for a person, by the reviewed result."""
        return self.result.review_reasons

    @property
    def is_signed(self) -> bool:
        """Whether the slide is signed, so that its cells cannot be reclassified."""
        return self.slide.status is Status.SIGNED

    @property
    def wbc_lines(self) -> list[WbcLine]:
        """The six WBC classes in customary order."""
        pairs = zip(self.result.differential, self.automatic.differential, strict=True)
        return [
            WbcLine(CLASSES[ReviewClass(row.cell_class.value)], row, before, range_bar(row)) for row, before in pairs
        ]

    @property
    def other_lines(self) -> list[OtherLine]:
        """Erythroblasts, platelets and cells in no class."""
        after, before = self.slide.reviewed, self.slide.automatic

        def of(code: ReviewClass, *, is_ratio: bool = False) -> OtherLine:
            count, automatic = _count(after, code), _count(before, code)
            return OtherLine(
                CLASSES[code],
                count,
                automatic,
                per_100_wbc(count, after.wbc_counted) if is_ratio else None,
                per_100_wbc(automatic, before.wbc_counted) if is_ratio else None,
            )

        return [
            of(ReviewClass.ERYTHROBLAST, is_ratio=True),
            of(ReviewClass.PLATELET),
            of(ReviewClass.UNIDENTIFIED),
        ]

    @property
    def images_state(self) -> str:
        """A text that changes when images come, are classified or quarantined, but not when cells are reviewed."""
        tally = self.slide.automatic
        numbers = (sum(tally.cells.values()), tally.unidentified, tally.quarantined, tally.duplicates, tally.pending)
        return "-".join(map(str, (*numbers, self.slide.completed_at and self.slide.completed_at.timestamp())))


def progress(tally: SlideTally) -> tuple[int, int]:
    """Return how many images of a slide are not pending any more, and how many images it has."""
    return tally.images - tally.pending, tally.images


def _count(tally: SlideTally, code: ReviewClass) -> int:
    return tally.unidentified if code is ReviewClass.UNIDENTIFIED else tally.cells[CellClass(code.value)]
