"""Errors of the database, for all rooms that use it."""

from smearcount.differential.errors import SmearcountError


class DatabaseError(SmearcountError):
    """The database cannot be used as it is; trying again will not help."""


class DatabaseUnavailable(DatabaseError):
    """The database does not answer, is locked or full; nothing was written, and another try may succeed later."""


class UnknownSlide(DatabaseError):
    """No slide of that name, or more than one, has been seen."""


class UnknownImage(DatabaseError):
    """No image has that id."""


class UnknownPage(DatabaseError):
    """The text that names a page of a list was not made for this list, or not for this order of it."""


class UnknownDelivery(DatabaseError):
    """There is no such message."""


class DeliveryDecisionRefused(DatabaseError):
    """What a person decides about a message is not possible."""
