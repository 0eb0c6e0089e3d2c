"""The model behind a call: one shape for every room that names, stores or shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model; two with the same SHA-256 make the same calls of the same image."""

    name: str
    version: str
    #: SHA-256 (hexadecimal) of the model: over the content of its card, which names the weights and the OOD file by theirs.
    #: In results of version 0.9 and before it is that of the weights alone.
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelUsed(ModelIdentity):
    """A model with everything else that decides its calls; every stored result names one, so that it can be repeated."""

    #: Version of the preprocessing.
    preprocessing: str
    #: Confidence (0-1) under which a cell is unidentified: the settings' value, or else the model card's.
    threshold: float
    #: SHA-256 (hexadecimal) of the model card's content, which is that of the model; None where it is not known.
    card_sha256: str | None = None
    #: SHA-256 (hexadecimal) of the weights file; None where it is not known.
    weights_sha256: str | None = None
