"""What an exported model is called, in which form it is written, and what its card says of its origin and limits."""

from dataclasses import dataclass
from typing import Literal

from smearcount.models.card import TrainingData

Precision = Literal["float32", "int8"]
Runtime = Literal["litert", "keras"]

#: The forms in which smearcount's own networks ship; what is fitted to the first one serves the others.
FORMS: tuple[tuple[Runtime, Precision], ...] = (("litert", "float32"), ("litert", "int8"), ("keras", "float32"))

#: What the shipped weights were trained on.
ACEVEDO_2020 = TrainingData(
    text="Single cells from peripheral blood smears, May-Grünwald-Giemsa stain, photographed by a CellaVision DM96 in "
    "the Core Laboratory of the Hospital Clínic of Barcelona and labelled by clinical pathologists.",
    source="A dataset for microscopic peripheral blood cell images for development of automatic recognition systems, "
    "Mendeley Data V1 (2020)",
    doi="10.17632/snkd93bnjr.1",
    licence="CC BY 4.0",
    attribution="Acevedo A, Merino A, Alférez S, Molina Á, Boldú L, Rodellar J. Data in Brief 30 (2020) 105474. "
    "Changes: selection and cropping.",
    split="11,951 images for training, 2,561 for validation, no image in both. The images name no patient or slide, so "
    "the split is by image and every figure is optimistic for another laboratory. Temperature and threshold were "
    "fitted on the validation images that the figures are from.",
)

LIMITS = (
    "For research use until a site has validated it on its own slides.",
    "Trained on images of one laboratory, one stain and one analyzer; other colours and magnifications are untested.",
    "Knows no blasts, reactive lymphocytes, smudge cells or artefacts: such a cell lands in a wrong class or in "
    "unidentified.",
    "Expects one cell in the centre of an image of about 360 × 363 px, as the analyzer exports it.",
)


@dataclass(frozen=True)
class Release:
    """Name, origin and form of an exported model."""

    name: str
    version: str
    training: TrainingData = ACEVEDO_2020
    runtime: Runtime = "litert"
    precision: Precision = "float32"
    limits: tuple[str, ...] = LIMITS

    @property
    def stem(self) -> str:
        """Name of the files without their suffix: name, major version, and the form unless it is float32 in LiteRT."""
        forms = [form for form in (self.precision, self.runtime) if form not in {"float32", "litert"}]
        return "-".join([self.name, self.version.split(".")[0], *forms])
