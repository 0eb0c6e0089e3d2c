"""The list of slides, also by flag and by reason to review. No table has these: they follow from the counts and the settings."""

from dataclasses import dataclass
from typing import Final

from smearcount.db.engine.database import Database
from smearcount.db.queries.slides import SlideFilter, SlidePage, SlideSort, SlideSummary, slide_page
from smearcount.differential.classes import WBC_CLASSES
from smearcount.differential.flags import FLAG_MEANINGS
from smearcount.differential.review_rules import REVIEW_RULES, review_reasons
from smearcount.differential.settings import CountSettings

#: The codes of all flags.
FLAG_CODES: Final = tuple(
    code.replace("<class>", cell_class)
    for code in FLAG_MEANINGS
    for cell_class in (WBC_CLASSES if "<class>" in code else ("",))
)

#: What a slide may ask for a person for: any reason, or that of one rule.
ANY_REASON: Final = "any"
REVIEW_CODES: Final = (ANY_REASON, *REVIEW_RULES)

#: Most pages of the database that are searched for one page of slides: a rare flag or reason among many slides takes no
#: longer than a moment.
_MOST_LOOKED_THROUGH = 20


@dataclass(frozen=True)
class SlideSearch:
    """Which slides are wanted, and in which order."""

    where: SlideFilter
    sort: SlideSort = SlideSort.NEWEST
    #: Only slides whose reviewed counts raise this flag.
    flag: str | None = None
    #: Only slides whose reviewed counts ask for a person for this reason, one of REVIEW_CODES.
    review: str | None = None


def search_slides(
    database: Database, search: SlideSearch, settings: CountSettings, *, after: str | None, limit: int
) -> SlidePage:
    """Return a page of slides.

    With a flag or a reason, a page may hold fewer than `limit` slides, even none, and still name a next page, where the search
    goes on.

    Raises:
        UnknownPage: `after` names no page of a list sorted like this.
    """
    if search.flag is None and search.review is None:
        return slide_page(database, search.where, sort=search.sort, after=after, limit=limit)
    found: list[SlideSummary] = []
    for _ in range(_MOST_LOOKED_THROUGH):
        page = slide_page(database, search.where, sort=search.sort, after=after, limit=limit - len(found))
        found += [slide for slide in page.slides if _is_wanted(slide, search, settings)]
        after = page.next
        # Half a page is enough: filling the rest would take queries for ever smaller pages.
        if after is None or 2 * len(found) >= limit:
            break
    return SlidePage(found, after)


def _is_wanted(slide: SlideSummary, search: SlideSearch, settings: CountSettings) -> bool:
    if search.flag is not None and all(one.code != search.flag for one in slide.flags(settings)):
        return False
    if search.review is None:
        return True
    return any(search.review in {ANY_REASON, one.code} for one in review_reasons(slide.reviewed, settings))
