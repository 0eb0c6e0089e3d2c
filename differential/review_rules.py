"""The rules of a site by which a slide asks for a person, as stable codes with a sentence each.

A flag says what a reader must know of a result. A reason to review says that nobody should rely on the result before a person
has looked at the slide. Each rule has its own setting, `SMEARCOUNT_REVIEW_` and its code, which is a limit or `off`.

A rule looks at the numbers that it is given. By the reviewed ones it is quiet as soon as people have done what it asked for: it
counts no unidentified cell that somebody has looked at, and no disagreement over a cell that somebody has called. While a slide
is being counted every number may change, and it cannot be signed: it asks for nobody. A signed slide asks for nobody either.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from smearcount.differential.classes import DISPLAY_NAMES, CellClass
from smearcount.differential.intervals import clopper_pearson
from smearcount.differential.ratios import per_100_wbc
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import SlideTally

#: The codes of all rules and their meanings, in the order in which reasons are listed. As with flags, a code keeps its meaning
#: within a version of the JSON of a slide's counts.
REVIEW_RULES: dict[str, str] = {
    "few-wbc": "Fewer WBC were counted than the limit.",
    "nrbc": "At least as many nucleated red cells were seen as the limit, which is one unless configured.",
    "ig": "The whole 95 % interval of the immature granulocytes lies above the limit.",
    "added-class": "People found at least as many cells as the limit in a class in which the model had found none.",
    "unidentified": "A larger share of the cells than the limit is unidentified, and nobody has looked at them.",
    "unlikeness": "The images are unlike those that the model knows: the median of their unlikeness is above the limit.",
    "disagreement": "A larger share of the cells than the limit is in another class than the analyzer's own.",
}


@dataclass(frozen=True, slots=True)
class ReviewReason:
    """Why a slide asks for a person: the code of a rule (see REVIEW_RULES), and a sentence for people."""

    code: str
    message: str


def review_reasons(tally: SlideTally, settings: CountSettings) -> tuple[ReviewReason, ...]:
    """Return why a slide asks for a person, in the order of REVIEW_RULES; empty if it asks for nobody."""
    if tally.status is SlideStatus.COUNTING or tally.review_facts.is_signed:
        return ()
    return (*_reasons_in_the_cells(tally, settings), *_reasons_in_the_calls(tally, settings))


def _reasons_in_the_cells(tally: SlideTally, settings: CountSettings) -> Iterator[ReviewReason]:
    wbc = tally.wbc_counted
    fewest = settings.review_few_wbc
    if fewest is not None and wbc < fewest:
        yield ReviewReason("few-wbc", f"{wbc} WBC counted, fewer than {fewest}")
    nrbc = tally.cells[CellClass.ERYTHROBLAST]
    if settings.review_nrbc is not None and nrbc >= settings.review_nrbc:
        yield ReviewReason("nrbc", f"{nrbc} nRBC seen")
    ig = tally.cells[CellClass.IG]
    percent = per_100_wbc(ig, wbc)
    # Without the first condition every slide of a list would wait for an interval.
    if settings.review_ig is not None and percent is not None and percent > settings.review_ig:
        interval = clopper_pearson(ig, wbc)
        if interval.low > settings.review_ig:
            yield ReviewReason(
                "ig",
                f"immature granulocytes {percent:.1f} % ({ig} of {wbc}), 95 % interval {interval.low:.1f}-"
                f"{interval.high:.1f} %, above {settings.review_ig:g} %",
            )
    needed = settings.review_added_class
    added = (
        [] if needed is None else [(one, count) for one, count in tally.review_facts.added.items() if count >= needed]
    )
    if added:
        named = ", ".join(f"{DISPLAY_NAMES[one]} ({count})" for one, count in added)
        yield ReviewReason("added-class", f"found by people alone: {named}")


def _reasons_in_the_calls(tally: SlideTally, settings: CountSettings) -> Iterator[ReviewReason]:
    facts = tally.review_facts
    counted = sum(tally.cells.values()) + tally.unidentified
    waiting = tally.unidentified - facts.called_unidentified
    limit = settings.review_unidentified
    if limit is not None and waiting > 0 and 100 * waiting / counted > limit:
        yield ReviewReason(
            "unidentified",
            f"{100 * waiting / counted:.1f} % of the cells unidentified ({waiting} of {counted}), more than {limit:g} %",
        )
    limit = settings.review_unlikeness
    if limit is not None and facts.unlikeness is not None and facts.unlikeness > limit:
        yield ReviewReason(
            "unlikeness",
            f"unlike the images that the model knows: median unlikeness {facts.unlikeness:.2f}, more than {limit:g}",
        )
    limit = settings.review_disagreement
    if limit is not None and facts.labelled and 100 * facts.disagreeing / facts.labelled > limit:
        yield ReviewReason(
            "disagreement",
            f"{100 * facts.disagreeing / facts.labelled:.1f} % of the cells in another class than the analyzer's "
            f"({facts.disagreeing} of {facts.labelled}), more than {limit:g} %",
        )
