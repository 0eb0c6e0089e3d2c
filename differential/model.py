"""The model behind a call: one shape for every room that names, stores or shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model file; two files with the same SHA-256 are the same model."""

    name: str
    version: str
    #: SHA-256 of the weights file, hexadecimal.
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelUsed(ModelIdentity):
    """A model with everything else that decides its calls; every stored result names one, so that it can be repeated."""

    #: Version of the preprocessing.
    preprocessing: str
    #: Confidence (0-1) under which a cell is unidentified: the settings' value, or else the model card's.
    threshold: float
    #: SHA-256 (hexadecimal) of the model card's content; None where it is not known.
    card_sha256: str | None = None
