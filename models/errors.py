"""What can go wrong between an image's bytes and its class."""

from smearcount.differential.errors import SmearcountError


class ModelsError(SmearcountError):
    """The classifier or its model file cannot be used."""


class ImageRefused(ModelsError):
    """An image that cannot be classified; the message is the reason a person reads."""

    def __init__(self, code: str, reason: str) -> None:
        """Keep a stable machine-readable `code` beside the `reason` in words."""
        super().__init__(reason)
        self.code = code


class ModelInvalid(ModelsError):
    """The model file is missing, corrupted or not the one its card describes."""


class RuntimeMissing(ModelsError):
    """The runtime asked for is not installed."""
