"""The flags of a slide: what a reader must know before relying on its result, as stable codes with a sentence each.

Numbers of WBC (100 routine, 200 common, 400 for the reference method) are from CLSI H20 and the ICSH recommendations.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from smearcount.differential.analyzer.familiarity import unfamiliar_signs
from smearcount.differential.classes import DISPLAY_NAMES, WBC_CLASSES
from smearcount.differential.ratios import RangeFlag, nrbc_per_100_wbc, per_100_wbc, range_flag, wbc_correction_factor
from smearcount.differential.settings import CountSettings
from smearcount.differential.status import SlideStatus
from smearcount.differential.tally import SlideTally

#: All codes and their meanings, in the order in which flags are listed. These are the meanings of version 2 of the JSON of a
#: slide's counts (`counts_document.SCHEMA_VERSION`): the meaning of a code never changes without another version. Up to
#: version 1, low and high said that the percentage alone lies outside the range, and there was no borderline.
#: `<class>` stands for a WBC class as the data spell it, such as `high:neutrophil` or `low:ig`.
FLAG_MEANINGS: dict[str, str] = {
    "incomplete": "The slide is still being counted; every number may change.",
    "no-wbc": "No WBC was identified, so there is no differential.",
    "few-wbc": "Fewer WBC were counted than the minimum set (100 unless configured).",
    "quarantined": "Some files could not be used, such as damaged images; they are not in the count.",
    "unidentified": "The model was not sure of some cells; they are not in the count and wait for a person's call.",
    "mixed-models": "More than one model made the calls that are counted.",
    "mixed-exports": "The files of some counted cells are no longer in the inbox, those of others are: perhaps an old and a "
    "new export of the slide are counted together.",
    "same-cells-elsewhere": "Another slide counts the same cells, byte for byte, such as after a folder was copied or renamed.",
    "unlike-images": "The images are unlike those that the model knows, by unlikeness, colours, sharpness or mix of classes: its "
    "calls may be wrong, also those that it is sure of.",
    "nrbc-correction": "So many nRBC that an analyzer's WBC count needs correcting; the factor is given.",
    "low:<class>": "The whole 95 % interval of the class's percentage lies below its reference range.",
    "high:<class>": "The whole 95 % interval of the class's percentage lies above its reference range.",
    "borderline:<class>": "The class's percentage lies outside its reference range, but cannot be told from normal: its 95 % "
    "interval reaches into the range, or fewer WBC were counted than the minimum set.",
}


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: a code for programs (see FLAG_MEANINGS) and a sentence for people."""

    code: str
    message: str


def slide_flags(tally: SlideTally, settings: CountSettings) -> tuple[Flag, ...]:
    """Return the flags of a slide: first those that put the count in doubt, then those about the patient's blood."""
    return (
        *_flags_of_the_count(tally, settings),
        *_flags_of_the_images(tally, settings),
        *_flags_of_the_blood(tally, settings),
    )


def _flags_of_the_count(tally: SlideTally, settings: CountSettings) -> Iterator[Flag]:
    if tally.pending:
        yield Flag("incomplete", f"still counting: {number_of(tally.pending, 'image')} pending")
    elif tally.status is SlideStatus.COUNTING:
        yield Flag("incomplete", "still counting: more images may arrive")
    wbc = tally.wbc_counted
    if wbc == 0:
        yield Flag("no-wbc", "no WBC counted, so there is no differential")
    elif wbc < settings.minimum_wbc:
        yield Flag(
            "few-wbc",
            f"only {wbc} WBC counted; 100 is routine, 200 common, 400 the reference method "
            f"(minimum set: {settings.minimum_wbc})",
        )
    if tally.quarantined:
        yield Flag("quarantined", f"{number_of(tally.quarantined, 'file')} could not be used")
    if tally.unidentified:
        yield Flag("unidentified", f"{number_of(tally.unidentified, 'cell')} unidentified, for review")
    models = len({model.sha256 for model in tally.models})
    if models > 1:
        yield Flag("mixed-models", f"counted by {models} different models")
    if 0 < tally.missing < tally.counted:
        yield Flag(
            "mixed-exports",
            f"the files of {tally.missing} of {number_of(tally.counted, 'cell')} are no longer in the inbox, the others are: "
            "perhaps two exports of the slide are counted together",
        )
    if tally.shared:
        yield Flag(
            "same-cells-elsewhere",
            f"{tally.shared} of {number_of(tally.counted, 'cell')} are counted in another slide as well, byte for byte",
        )


def _flags_of_the_images(tally: SlideTally, settings: CountSettings) -> Iterator[Flag]:
    signs = unfamiliar_signs(tally, settings)
    if signs:
        yield Flag("unlike-images", f"the images are unlike those that the model knows: {'; '.join(signs)}")


def _flags_of_the_blood(tally: SlideTally, settings: CountSettings) -> Iterator[Flag]:
    nrbc = nrbc_per_100_wbc(tally)
    factor = wbc_correction_factor(nrbc, settings)
    if factor is not None:
        yield Flag("nrbc-correction", f"{nrbc:.1f} nRBC per 100 WBC: multiply the analyzer's WBC count by {factor:.3f}")
    wbc = tally.wbc_counted
    for cell_class in WBC_CLASSES:
        count = tally.cells[cell_class]
        percent = per_100_wbc(count, wbc)
        reference = settings.reference_ranges.get(cell_class)
        side = range_flag(count, wbc, reference, minimum_wbc=settings.minimum_wbc)
        if side is not None and reference is not None:
            doubt = _doubt(wbc, settings) if side is RangeFlag.BORDERLINE else ""
            yield Flag(
                f"{side}:{cell_class}",
                f"{DISPLAY_NAMES[cell_class]} {side}: {percent:.1f} % ({count} of {wbc}), "
                f"reference {reference[0]:g}-{reference[1]:g} %{doubt}",
            )


def _doubt(wbc: int, settings: CountSettings) -> str:
    """Return why a percentage outside its range is neither high nor low."""
    too_few = f" (minimum set: {settings.minimum_wbc})" if wbc < settings.minimum_wbc else ""
    return f", cannot be told from normal with {number_of(wbc, 'cell')}{too_few}"


def number_of(number: int, noun: str) -> str:
    """Return a number with its noun: 1 cell, 2 cells."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
