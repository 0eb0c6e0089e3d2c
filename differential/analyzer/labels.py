"""What an analyzer's own call means in our classes: the codes and names that exports of such analyzers carry in their paths.

The codes are those of CellaVision's exports, as a public data set of another site has them: SNE, BNE, EO, BA, LY, VLY, MO, PMY,
MY, MMY, ERB, GT (giant platelet) and ERC (platelet clump). The names are those that sites give to folders and that labelled
data sets use, in the singular or plural. What none of our classes holds has no class here: blasts (BL), promonocytes (PMO),
prolymphocytes (PLY), plasma cells (PC), smudges (SMU), artefacts (ART), unidentified (UI) and what users define (USRWBC2).
"""

import re
from typing import Final

from smearcount.differential.classes import CellClass

_SPELLINGS: Final[dict[CellClass, str]] = {
    CellClass.BASOPHIL: "ba bas baso basophil",
    CellClass.EOSINOPHIL: "eo eos eosino eosinophil",
    CellClass.ERYTHROBLAST: "erb nrbc erythroblast normoblast nucleatedredcell nucleatedredbloodcell",
    CellClass.IG: "ig immaturegranulocyte pmy promyelocyte my myelocyte mmy metamyelocyte",
    CellClass.LYMPHOCYTE: "ly lym lymph lymphocyte vly variantlymphocyte",
    CellClass.MONOCYTE: "mo mon mono monocyte",
    CellClass.NEUTROPHIL: "ne neu neut neutrophil sne seg segmented segmentedneutrophil bne band bandneutrophil",
    CellClass.PLATELET: "plt platelet thrombocyte gt giantplatelet giantthrombocyte erc plateletclump thrombocyteaggregation",
}
_CLASSES: Final = {spelling: one for one, spellings in _SPELLINGS.items() for spelling in spellings.split()}


def class_of_label(label: str) -> CellClass | None:
    """Return the class that an analyzer's label names; None for one that is unknown or that our classes do not hold.

    Capitals, and everything that is no letter, make no difference: `Band neutrophils`, `band_neutrophil` and `BNE` are one.
    """
    letters = re.sub(r"[^a-z]", "", label.casefold())
    return _CLASSES.get(letters) or _CLASSES.get(letters.removesuffix("s"))
