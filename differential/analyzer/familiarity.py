"""Whether a slide's images are like those that the model knows: a verdict on the whole slide.

A model can be wrong in a foreign stain and be sure of it, cell by cell. Over a slide the signs add up: the median unlikeness,
the colours, the sharpness, and a mix of classes that hardly any blood has. Each sign has its own limit in the settings.
"""

from collections.abc import Iterator

from smearcount.differential.classes import CellClass
from smearcount.differential.settings import CountSettings
from smearcount.differential.tally import SlideTally

#: Fewer cells show nothing about their slide.
FEWEST_CELLS = 20

#: Classes that hardly ever are the most of the WBC. A model that sees another stain often calls most cells one of them.
RARE_CLASSES = (CellClass.EOSINOPHIL, CellClass.BASOPHIL, CellClass.IG)


def unfamiliar_signs(tally: SlideTally, settings: CountSettings) -> tuple[str, ...]:
    """Return what about a slide's images is unlike what the model knows, in words; empty if nothing is.

    The classes are those of the tally, so that people's calls count where it has them; a slide of fewer than 20 cells shows
    nothing.
    """
    if tally.counted < FEWEST_CELLS:
        return ()
    return tuple(_signs(tally, settings))


def _signs(tally: SlideTally, settings: CountSettings) -> Iterator[str]:
    facts = tally.review_facts
    limit = settings.unlike_unlikeness
    if limit is not None and facts.unlikeness is not None and facts.unlikeness > limit:
        yield f"median unlikeness {facts.unlikeness:.2f}, more than {limit:g}"
    limit = settings.unlike_colour
    if limit is not None and facts.colour_distance is not None and facts.colour_distance > limit:
        yield f"colours {facts.colour_distance:.1f} times as far off as usual, more than {limit:g}"
    limit = settings.unlike_sharpness
    if limit is not None and facts.sharpness is not None and not 1 / limit <= facts.sharpness <= limit:
        word = "blurred" if facts.sharpness < 1 else "sharpened"
        yield f"{word}: sharpness {facts.sharpness:.2f} of the usual, outside {1 / limit:.2f} to {limit:.2f}"
    rare, wbc = sum(tally.cells[one] for one in RARE_CLASSES), tally.wbc_counted
    limit = settings.unlike_rare_classes
    if limit is not None and wbc >= FEWEST_CELLS and 100 * rare / wbc > limit:
        yield (
            f"{100 * rare / wbc:.0f} % of the WBC are eosinophils, basophils or immature granulocytes, more than {limit:g} %"
        )
