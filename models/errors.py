"""Errors between an image's bytes and its class, and around the model files."""

from smearcount.differential.errors import SmearcountError


class ModelsError(SmearcountError):
    """The classifier or its model file cannot be used."""


class ImageRefused(ModelsError):
    """An image cannot be classified; the message is the reason, for people."""

    def __init__(self, code: str, reason: str) -> None:
        """Keep the reason twice: as a stable `code` for programs and as a `reason` in words."""
        super().__init__(reason)
        self.code = code


class ModelInvalid(ModelsError):
    """The model file is missing or damaged, or it is another one than its card describes."""


class RuntimeMissing(ModelsError):
    """A library that the command needs is not installed; the message says how to install it."""
