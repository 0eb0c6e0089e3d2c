"""The gallery of a slide: its cells by class, the least certain first, and the files that are not counted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from smearcount.db.engine.database import Database
from smearcount.db.queries.cells import Cell, CellPage, cells
from smearcount.db.schema import ImageState
from smearcount.differential.classes import ReviewClass
from smearcount.web.pages.parts.labels import GALLERY_CLASSES, ClassLabels

#: Most images on a page; a slide rarely has more.
MOST: Final = 2000

#: States of images that are listed as files and not shown as cells.
_FILE_STATES: Final = (ImageState.QUARANTINED, ImageState.DUPLICATE)


class Show(StrEnum):
    """Which images of a slide are shown."""

    ALL = "all"
    UNIDENTIFIED = "unidentified"
    REVIEWED = "reviewed"
    QUARANTINED = "quarantined"
    DUPLICATES = "duplicates"


def _no_empty_text(value: object) -> object:
    return None if value == "" else value


class GalleryQuery(BaseModel):
    """Which images of a slide the page's form asks for; empty fields are left out."""

    model_config = ConfigDict(frozen=True)

    show: Show = Show.ALL
    #: Only cells that the model called with less confidence than this, in percent.
    below: Annotated[float | None, Field(ge=0, le=100), BeforeValidator(_no_empty_text)] = None
    after: Annotated[str | None, Field(max_length=1000), BeforeValidator(_no_empty_text)] = None

    def address(self, after: str | None) -> str:
        """Return the query string of the page that begins after a place."""
        values: dict[str, object] = {"show": self.show.value, "below": self.below, "after": after}
        return "?" + urlencode({name: value for name, value in values.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Group:
    """The cells of one class."""

    labels: ClassLabels
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Gallery:
    """A page of a slide's images."""

    query: GalleryQuery
    #: All nine groups, also those without cells, because a cell may be moved there.
    groups: list[Group]
    #: Images that are not counted, each with the reason.
    files: list[Cell]
    #: Number of images that still wait for the classifier.
    waiting: int
    #: Query string of the next page; None on the last one.
    next: str | None


def gallery(database: Database, slide_id: int, query: GalleryQuery) -> Gallery:
    """Return a page of the gallery.

    Raises:
        UnknownSlide: there is no such slide.
        UnknownPage: `after` names no page.
    """
    page = _cells(database, slide_id, query)
    by_class: dict[ReviewClass, list[Cell]] = {labels.code: [] for labels in GALLERY_CLASSES}
    files, waiting = [], 0
    for cell in page.cells:
        if cell.effective is not None:
            by_class[cell.effective].append(cell)
        elif cell.state in _FILE_STATES:
            files.append(cell)
        else:
            waiting += 1
    return Gallery(
        query,
        [Group(labels, by_class[labels.code]) for labels in GALLERY_CLASSES],
        files,
        waiting,
        None if page.next is None else query.address(page.next),
    )


def contact_sheet(groups: Sequence[Group], *, rows: int, per_row: int) -> list[Group]:
    """Return the groups with as many cells as fit on paper: small groups whole, large ones shortened.

    Every group gets at least one row. The rows are shared out evenly, and what small groups do not need goes to the others.

    Args:
        groups: the groups; those without cells are left out.
        rows: rows on the paper.
        per_row: cells in a row.
    """
    shown: dict[ReviewClass, int] = {}
    left = rows
    by_size = sorted((group for group in groups if group.cells), key=lambda group: len(group.cells))
    for place, group in enumerate(by_size):
        fair = max(left // (len(by_size) - place), 1)
        shown[group.labels.code] = min(math.ceil(len(group.cells) / per_row), fair)
        left -= shown[group.labels.code]
    return [Group(group.labels, group.cells[: per_row * shown[group.labels.code]]) for group in groups if group.cells]


def _cells(database: Database, slide_id: int, query: GalleryQuery) -> CellPage:
    wanted: dict[Show, dict[str, Any]] = {
        Show.ALL: {},
        Show.UNIDENTIFIED: {"cell_class": ReviewClass.UNIDENTIFIED},
        Show.REVIEWED: {"reviewed_only": True},
        Show.QUARANTINED: {"states": [ImageState.QUARANTINED]},
        Show.DUPLICATES: {"states": [ImageState.DUPLICATE]},
    }
    below = None if query.below is None else query.below / 100
    return cells(database, slide_id, below=below, after=query.after, limit=MOST, **wanted[query.show])
