"""The list of slides, also by flag. No table has flags: they follow from the counts and the site's settings."""

from dataclasses import dataclass
from typing import Final

from smearcount.db.engine.database import Database
from smearcount.db.queries.slides import SlideFilter, SlidePage, SlideSort, SlideSummary, slide_page
from smearcount.differential.classes import WBC_CLASSES
from smearcount.differential.flags import FLAG_MEANINGS
from smearcount.differential.settings import CountSettings

#: The codes of all flags.
FLAG_CODES: Final = tuple(
    code.replace("<class>", cell_class)
    for code in FLAG_MEANINGS
    for cell_class in (WBC_CLASSES if "<class>" in code else ("",))
)

#: Most pages of the database that are searched for one page of slides: a rare flag among many slides takes no longer
#: than a moment.
_MOST_LOOKED_THROUGH = 20


@dataclass(frozen=True)
class SlideSearch:
    """Which slides are wanted, and in which order."""

    where: SlideFilter
    sort: SlideSort = SlideSort.NEWEST
    #: Only slides whose reviewed counts raise this flag.
    flag: str | None = None


def search_slides(
    database: Database, search: SlideSearch, settings: CountSettings, *, after: str | None, limit: int
) -> SlidePage:
    """Return a page of slides.

    With a flag, a page may hold fewer than `limit` slides, even none, and still name a next page, where the search goes on.

    Raises:
        UnknownPage: `after` names no page of a list sorted like this.
    """
    if search.flag is None:
        return slide_page(database, search.where, sort=search.sort, after=after, limit=limit)
    found: list[SlideSummary] = []
    for _ in range(_MOST_LOOKED_THROUGH):
        page = slide_page(database, search.where, sort=search.sort, after=after, limit=limit - len(found))
        found += [slide for slide in page.slides if _has(slide, search.flag, settings)]
        after = page.next
        # Half a page is enough: filling the rest would take queries for ever smaller pages.
        if after is None or 2 * len(found) >= limit:
            break
    return SlidePage(found, after)


def _has(slide: SlideSummary, flag: str, settings: CountSettings) -> bool:
    return any(one.code == flag for one in slide.flags(settings))
