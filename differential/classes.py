"""The eight classes of cell images, and the part of each in the count."""

from enum import StrEnum


class CellClass(StrEnum):
    """The classes of the network, in the order of its output.

    The values are the names used in folders, the database, JSON and CSV.
    """

    BASOPHIL = "basophil"
    EOSINOPHIL = "eosinophil"
    ERYTHROBLAST = "erythroblast"
    IG = "ig"
    LYMPHOCYTE = "lymphocyte"
    MONOCYTE = "monocyte"
    NEUTROPHIL = "neutrophil"
    PLATELET = "platelet"


class ReviewClass(StrEnum):
    """What a person can call a cell: one of the eight classes, or none of them, which takes it out of the count."""

    BASOPHIL = CellClass.BASOPHIL.value
    EOSINOPHIL = CellClass.EOSINOPHIL.value
    ERYTHROBLAST = CellClass.ERYTHROBLAST.value
    IG = CellClass.IG.value
    LYMPHOCYTE = CellClass.LYMPHOCYTE.value
    MONOCYTE = CellClass.MONOCYTE.value
    NEUTROPHIL = CellClass.NEUTROPHIL.value
    PLATELET = CellClass.PLATELET.value
    UNIDENTIFIED = "unidentified"  # also for what the classes do not hold: blasts, smudges, artefacts

    @property
    def cell_class(self) -> CellClass | None:
        """The class in which the cell is counted; None if it is counted in none."""
        return None if self is ReviewClass.UNIDENTIFIED else CellClass(self.value)


#: The leukocytes, in the customary order of a differential. They are its denominator (CLSI H20, ICSH).
#: Nucleated red cells (erythroblasts) and platelets are not leukocytes and are not in it.
WBC_CLASSES: tuple[CellClass, ...] = (
    CellClass.NEUTROPHIL,
    CellClass.LYMPHOCYTE,
    CellClass.MONOCYTE,
    CellClass.EOSINOPHIL,
    CellClass.BASOPHIL,
    CellClass.IG,
)

#: Name of each class in tables and reports.
DISPLAY_NAMES: dict[CellClass, str] = {
    CellClass.NEUTROPHIL: "Neutrophil",
    CellClass.LYMPHOCYTE: "Lymphocyte",
    CellClass.MONOCYTE: "Monocyte",
    CellClass.EOSINOPHIL: "Eosinophil",
    CellClass.BASOPHIL: "Basophil",
    CellClass.IG: "Immature granulocyte",
    CellClass.ERYTHROBLAST: "Erythroblast (nRBC)",
    CellClass.PLATELET: "Platelet",
}

#: Headings short enough for a table with a column for each class.
SHORT_NAMES: dict[CellClass, str] = {
    CellClass.NEUTROPHIL: "Neu",
    CellClass.LYMPHOCYTE: "Lym",
    CellClass.MONOCYTE: "Mon",
    CellClass.EOSINOPHIL: "Eos",
    CellClass.BASOPHIL: "Bas",
    CellClass.IG: "IG",
    CellClass.ERYTHROBLAST: "nRBC",
    CellClass.PLATELET: "Plt",
}
