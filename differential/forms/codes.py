"""The codes that tell other systems what a number is: LOINC codes where there are any, local ones elsewhere, UCUM units.

The names are those of LOINC (https://loinc.org). Percentages and nRBC have the codes without a method: LOINC's "automated"
means a haematology analyzer's count, and its "manual" a person's count at the microscope. For the same reason the panel is
69738-3 and not 24318-8, the manual differential. 26508-2 is band forms, not neutrophils. LOINC is not part of smearcount;
check the codes against the release that your site uses.
"""

from dataclasses import dataclass
from typing import NamedTuple

from smearcount.differential.classes import DISPLAY_NAMES, WBC_CLASSES, CellClass

LOINC = "http://loinc.org"

#: Code system for the numbers that have no LOINC code.
LOCAL = "urn:smearcount:observations"


@dataclass(frozen=True, slots=True)
class Code:
    """The meaning of a number: a code of a code system (a URI), and its display name there."""

    system: str
    code: str
    display: str


class Unit(NamedTuple):
    """A unit: its UCUM code (https://ucum.org), and as people write it."""

    code: str
    display: str


PERCENT = Unit("%", "%")
PER_100_WBC = Unit("/100{WBC}", "per 100 WBC")
CELLS = Unit("{cells}", "cells")
FACTOR = Unit("1", "")

PANEL = Code(LOINC, "69738-3", "Differential panel, method unspecified - Blood")

PERCENTS: dict[CellClass, Code] = {
    CellClass.NEUTROPHIL: Code(LOINC, "26511-6", "Neutrophils/Leukocytes in Blood"),
    CellClass.LYMPHOCYTE: Code(LOINC, "26478-8", "Lymphocytes/Leukocytes in Blood"),
    CellClass.MONOCYTE: Code(LOINC, "26485-3", "Monocytes/Leukocytes in Blood"),
    CellClass.EOSINOPHIL: Code(LOINC, "26450-7", "Eosinophils/Leukocytes in Blood"),
    CellClass.BASOPHIL: Code(LOINC, "30180-4", "Basophils/Leukocytes in Blood"),
    CellClass.IG: Code(LOINC, "38518-7", "Immature granulocytes/Leukocytes in Blood"),
}

NRBC = Code(LOINC, "19048-8", "Nucleated erythrocytes/Leukocytes [Ratio] in Blood")

#: Cells on the images of a slide. They have local codes, since LOINC's counts are concentrations in blood.
COUNTS: dict[CellClass, Code] = {
    cell_class: Code(LOCAL, f"{cell_class}-count", f"{DISPLAY_NAMES[cell_class]}: cells counted")
    for cell_class in (*WBC_CLASSES, CellClass.ERYTHROBLAST)
}
PLATELETS = Code(LOCAL, "platelets-seen", "Platelets seen; no platelet count of the blood")
WBC_COUNTED = Code(LOCAL, "wbc-counted", "WBC counted, the denominator of the percentages")
WBC_CORRECTION = Code(LOCAL, "wbc-correction-factor", "Factor for a WBC count that took nRBC for WBC")
UNIDENTIFIED = Code(LOCAL, "unidentified", "Cells in no class, for review")
REVIEWED_CELLS = Code(LOCAL, "reviewed-cells", "Cells called by a person")
EXCLUDED_CELLS = Code(LOCAL, "excluded-cells", "Cells in no class because a person said so")

#: A component of an observation: the same number by the model's calls alone, before a person's review.
BEFORE_REVIEW = Code(LOCAL, "before-review", "As called automatically, before review")
