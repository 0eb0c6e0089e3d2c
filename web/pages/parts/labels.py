"""The texts of the pages: names and keys of the classes, numbers, moments."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from smearcount.db.queries.cells import GALLERY_ORDER
from smearcount.differential.classes import DISPLAY_NAMES, SHORT_NAMES, WBC_CLASSES, CellClass, ReviewClass
from smearcount.differential.status import Status

#: Stands for a missing number.
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """The names and the key of a class that a cell can be called."""

    code: ReviewClass
    name: str
    short: str
    #: The key that calls a cell this class.
    key: str


_KEYED: Final = (*WBC_CLASSES, CellClass.ERYTHROBLAST, CellClass.PLATELET)

#: By code, in the order of the keys: the customary order of a differential, then what is not counted.
CLASSES: Final[Mapping[ReviewClass, ClassLabels]] = {
    **{
        ReviewClass(one.value): ClassLabels(ReviewClass(one.value), DISPLAY_NAMES[one], SHORT_NAMES[one], str(key))
        for key, one in enumerate(_KEYED, start=1)
    },
    ReviewClass.UNIDENTIFIED: ClassLabels(ReviewClass.UNIDENTIFIED, "Unidentified", "Unid", "0"),
}

#: The same in the order of the gallery: first the cells that wait for a person's call.
GALLERY_CLASSES: Final = tuple(CLASSES[code] for code in GALLERY_ORDER)

STATUS_LABELS: Final[Mapping[Status, str]] = {
    Status.COUNTING: "Counting",
    Status.COMPLETE: "To review",
    Status.SIGNED: "Signed",
}


def percent(number: float | None) -> str:
    """Return a percentage with one decimal, without the percent sign."""
    return NOTHING if number is None else f"{number:.1f}"


def share(number: float | None) -> str:
    """Return a share, 0 to 1, as a percentage with one decimal, without the sign; only 1 itself becomes 100."""
    if number is None:
        return NOTHING
    return f"{min(100 * number, 99.9):.1f}" if number < 1 else "100"


def bounds(low: float | None, high: float | None) -> str:
    """Return an interval in percent."""
    return NOTHING if low is None or high is None else f"{low:.1f}–{high:.1f}"


def reference(low: float | None, high: float | None) -> str:
    """Return a reference range in percent, with as many decimals as the site has set."""
    return NOTHING if low is None or high is None else f"{low:g}–{high:g}"


def number(count: int) -> str:
    """Return a number with narrow spaces between thousands."""
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def signed(count: int) -> str:
    """Return a difference with its sign."""
    return f"+{count}" if count > 0 else f"\N{MINUS SIGN}{-count}" if count else "0"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 cell, 2 cells."""
    return f"{number(count)} {noun}" if count == 1 else f"{number(count)} {noun}s"


def moment(at: datetime | None) -> Markup:
    """Return a moment in UTC; the page's script shows it in the reader's time zone."""
    if at is None:
        return Markup(NOTHING)  # noqa: S704 (our own constant)
    utc = at.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%d %H:%M")
    )
