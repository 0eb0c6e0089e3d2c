"""The numbers of a slide as the database has them: whole numbers, before any rule of the field is applied."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from smearcount.differential.classes import WBC_CLASSES, CellClass
from smearcount.differential.model import ModelIdentity
from smearcount.differential.status import SlideStatus


class Calls(StrEnum):
    """Whose calls are counted."""

    AUTOMATIC = "automatic"  # the model's alone
    REVIEWED = "reviewed"  # a person's where there is one, the model's elsewhere


_Result = TypeVar("_Result")


class CallsAsked(StrEnum):
    """By whose calls a reader wants to have a slide counted."""

    AUTOMATIC = Calls.AUTOMATIC.value
    REVIEWED = Calls.REVIEWED.value
    BOTH = "both"

    def of(self, automatic: _Result, reviewed: _Result | None) -> tuple[_Result, ...]:
        """Return those of two results that are asked for, the automatic one first.

        `reviewed` is None while nobody has called a cell: the automatic result then stands for it.
        """
        if self is CallsAsked.AUTOMATIC or reviewed is None:
            return (automatic,)
        return (automatic, reviewed) if self is CallsAsked.BOTH else (reviewed,)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewFacts:
    """What the rules of `review_rules` look at beside the counts of a slide.

    `called_unidentified` cells of `SlideTally.unidentified` were called so by a person, so that they wait for nobody.
    `unlikeness` is the median over the counted cells of how unlike the images that the model knows they are, about 1 for such
    images; None where the model cannot tell. So are `colour_distance` and `sharpness`, the means of how far the images' colours
    are from theirs and of how sharp they are. Of `labelled` counted cells it is known what the analyzer called them, and
    `disagreeing` of these, which no person has called, are in another class here. `added` holds the classes in which people
    found cells and the models none, with the numbers of their cells. `is_signed`: a person answers for the slide.

    Raises:
        ValueError: The numbers contradict each other.
    """

    called_unidentified: int = 0
    unlikeness: float | None = None
    colour_distance: float | None = None
    sharpness: float | None = None
    labelled: int = 0
    disagreeing: int = 0
    added: Mapping[CellClass, int] = field(default_factory=dict)
    is_signed: bool = False

    def __post_init__(self) -> None:
        if self.called_unidentified < 0 or not 0 <= self.disagreeing <= self.labelled:
            raise ValueError("a number of cells cannot be negative, nor a part larger than the whole")


@dataclass(frozen=True, kw_only=True, slots=True)
class SlideTally:
    """The images of one slide, counted; each image is in exactly one of the numbers.

    `cells` holds the identified cells. Classes left out are zero; afterwards it has all eight classes, in the order of
    CellClass. `models` lists every model that made a call counted here, newest first; it is empty before the first call.
    `unidentified` counts the cells that are in no class: either the model was not sure and nobody has called them, or a
    person took them out of the count. `calls` says whose calls are in it: without any of a person it is AUTOMATIC.

    Raises:
        ValueError: A number is negative, a class or status is unknown, or a time has no time zone.
    """

    slide: str
    status: SlideStatus
    models: tuple[ModelIdentity, ...]
    cells: Mapping[CellClass, int]
    unidentified: int
    quarantined: int
    duplicates: int
    pending: int
    first_image_at: datetime | None
    completed_at: datetime | None
    calls: Calls = Calls.AUTOMATIC
    #: Counted cells whose files are not in the inbox any more, and those whose bytes another slide counts as well.
    missing: int = 0
    shared: int = 0
    review_facts: ReviewFacts = ReviewFacts()

    def __post_init__(self) -> None:
        given = {CellClass(name): count for name, count in self.cells.items()}
        object.__setattr__(self, "cells", {cell_class: given.get(cell_class, 0) for cell_class in CellClass})
        object.__setattr__(self, "status", SlideStatus(self.status))
        if (
            min(
                *self.cells.values(),
                self.unidentified,
                self.quarantined,
                self.duplicates,
                self.pending,
                self.missing,
                self.shared,
            )
            < 0
        ):
            raise ValueError("a number of images cannot be negative")
        for moment in (self.first_image_at, self.completed_at):
            # One reader would take a time without a zone for UTC, and the next one for local time.
            if moment is not None and moment.utcoffset() is None:
                raise ValueError(f"the time {moment} has no time zone")

    @property
    def wbc_counted(self) -> int:
        """The denominator of the differential: identified leukocytes, without erythroblasts and platelets."""
        return sum(self.cells[cell_class] for cell_class in WBC_CLASSES)

    @property
    def counted(self) -> int:
        """All counted cells, in a class or unidentified."""
        return sum(self.cells.values()) + self.unidentified

    @property
    def images(self) -> int:
        """All images of the slide: identified, unidentified, quarantined, duplicates and pending."""
        return sum(self.cells.values()) + self.unidentified + self.quarantined + self.duplicates + self.pending
