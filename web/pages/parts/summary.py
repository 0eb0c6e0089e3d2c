"""What a slide's page says beside the cells: both differentials as one table, what to know, and how far it is."""

from dataclasses import dataclass
from functools import cached_property

from smearcount.db.queries.slides import SlideSummary
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.flags import Flag
from smearcount.differential.ratios import per_100_wbc
from smearcount.differential.report import DifferentialRow, SlideReport, report
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import Status
from smearcount.differential.tally import SlideTally
from smearcount.web.pages.parts.bars import RangeBar, StackedBar, range_bar, stacked_bar
from smearcount.web.pages.parts.labels import CLASSES, ClassLabels


@dataclass(frozen=True, slots=True)
class WbcLine:
    """One WBC class: the reviewed count, its bar, and the automatic count beside it."""

    labels: ClassLabels
    reviewed: DifferentialRow
    automatic: DifferentialRow
    bar: RangeBar | None

    @property
    def change(self) -> int:
        """By how many cells the review has changed the class."""
        return self.reviewed.count - self.automatic.count


@dataclass(frozen=True, slots=True)
class OtherLine:
    """Cells outside the denominator."""

    labels: ClassLabels
    count: int
    automatic: int
    per_100_wbc: float | None
    automatic_per_100_wbc: float | None

    @property
    def change(self) -> int:
        """By how many cells the review has changed the number."""
        return self.count - self.automatic


@dataclass(frozen=True)
class Summary:
    """A slide and its results; what is said first is the reviewed one."""

    slide: SlideSummary
    settings: CountSettings

    @cached_property
    def result(self) -> SlideReport:
        """The result with people's calls."""
        return report(self.slide.reviewed, self.settings)

    @cached_property
    def automatic(self) -> SlideReport:
        """The result by the model alone."""
        return report(self.slide.automatic, self.settings)

    @property
    def bar(self) -> StackedBar:
        """The differential as one bar."""
        return stacked_bar(self.slide.reviewed.cells)

    @property
    def flags(self) -> tuple[Flag, ...]:
        """What to know before relying on the result."""
        return self.result.flags

    @property
    def is_signed(self) -> bool:
        """Whether its cells cannot be reclassified now."""
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
        """Erythroblasts, platelets and what is in no class."""
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
        """A text that changes whenever images came or were dealt with, and not when cells were reviewed."""
        tally = self.slide.automatic
        numbers = (sum(tally.cells.values()), tally.unidentified, tally.quarantined, tally.duplicates, tally.pending)
        return "-".join(map(str, (*numbers, self.slide.completed_at and self.slide.completed_at.timestamp())))


def progress(tally: SlideTally) -> tuple[int, int]:
    """Return how many of a slide's images are dealt with, and how many there are."""
    return tally.images - tally.pending, tally.images


def _count(tally: SlideTally, code: ReviewClass) -> int:
    return tally.unidentified if code is ReviewClass.UNIDENTIFIED else tally.cells[CellClass(code.value)]
