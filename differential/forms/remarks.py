"""What people wrote about a slide and took out of its count, in the words of every form that shows its result.

Whatever a person wrote may hold any character. A form writes it in a way that cannot be taken for anything else: as JSON text,
on one printable line, or in lines of which none begins a part of the form.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from smearcount.differential.classes import ReviewClass
from smearcount.differential.counts_document import REVIEW_REMARK, ExcludedCell, Remark
from smearcount.differential.forms.wording import cells, moment, named, on_one_line, printable_lines


@dataclass(frozen=True, kw_only=True, slots=True)
class Remarks:
    """What people said of one slide.

    `said` has all that they ever wrote, oldest first: comments on the slide, comments of signatures, reasons for reopening it
    and reasons for calling cells. `excluded` are the cells that are in no class now because a person said so.
    """

    said: tuple[Remark, ...] = ()
    excluded: tuple[ExcludedCell, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Everything that was written, one printable line each: when, who, on what occasion, what."""
        return tuple(
            f"{moment(remark.at)}, {author(remark)}, {occasion(remark)}: {on_one_line(remark.text)}"
            for remark in self.said
        )

    @property
    def excluded_text(self) -> str:
        """Which cells were taken out of the count, on one line; empty if there are none."""
        of_class: dict[tuple[ReviewClass, ReviewClass], list[int]] = {}
        for excluded in self.excluded:
            of_class.setdefault((excluded.automatic, excluded.reviewed), []).append(excluded.cell)
        return "; ".join(
            f"{_was(automatic)}, called {reviewed.value} by a person: {_numbered(ids)}"
            for (automatic, reviewed), ids in of_class.items()
        )


def author(remark: Remark) -> str:
    """Return who wrote it, in printable characters."""
    return named(remark.reviewer, "unnamed")


def occasion(remark: Remark) -> str:
    """Return in words what a remark was written with, such as `comment` or `2 cells called ig`."""
    if remark.kind != REVIEW_REMARK:
        return _OCCASIONS.get(remark.kind, remark.kind)
    called = sorted({_called(cell.reviewed) for cell in remark.cells})
    changed = sum(not cell.holds for cell in remark.cells)
    since = "" if not changed else ", changed since" if changed == len(remark.cells) else f", {changed} changed since"
    return f"{cells(len(remark.cells))} {' or '.join(called)}{since}"


def text_of(remark: Remark) -> str:
    """Return the occasion and what was written, in printable characters, with a newline between the lines."""
    return f"{occasion(remark)}: " + "\n".join(printable_lines(remark.text))


def full_text_of(remark: Remark) -> str:
    """Return when it was written, by whom, the occasion and what was written, as `text_of` does."""
    return f"{moment(remark.at)}, {author(remark)}, {text_of(remark)}"


#: Kinds of remarks that read better in other words.
_OCCASIONS = {"reopen": "reopened"}


def _called(reviewed: ReviewClass | None) -> str:
    return "back to the automatic call" if reviewed is None else f"called {reviewed.value}"


def _was(automatic: ReviewClass) -> str:
    return "unidentified" if automatic is ReviewClass.UNIDENTIFIED else f"{automatic.value} by the model"


def _numbered(ids: Iterable[int]) -> str:
    numbers = list(map(str, ids))
    return f"cell {numbers[0]}" if len(numbers) == 1 else f"cells {', '.join(numbers)}"
