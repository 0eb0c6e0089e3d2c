"""The lines of a list of slides, by the calls that a person asked for."""

from collections.abc import Iterable

from smearcount.db.queries.counts import InboxTally
from smearcount.differential.line import SlideLine, line
from smearcount.differential.settings import CountSettings
from smearcount.differential.tally import CallsAsked


def slide_lines(slides: Iterable[InboxTally], calls: CallsAsked, settings: CountSettings) -> list[SlideLine]:
    """Return a line for each slide; with both calls, two for each slide of which people have called cells.

    A signed slide has the flags with which it was signed.
    """
    return [
        line(
            tally,
            settings,
            inbox=slide.inbox,
            reviewed_cells=slide.both.reviewed_cells,
            signed_flags=slide.signed_flags.get(tally.calls),
        )
        for slide in slides
        for tally in calls.of(slide.both.automatic, slide.both.reviewed if slide.both.reviewed_cells else None)
    ]
