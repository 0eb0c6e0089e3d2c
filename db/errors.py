"""What can go wrong between the program and its database."""

from smearcount.differential.errors import SmearcountError


class DatabaseError(SmearcountError):
    """The database cannot be used as it is; trying again will not help."""


class DatabaseUnavailable(DatabaseError):
    """The database does not answer, is locked or full: what was asked may succeed later."""


class UnknownSlide(DatabaseError):
    """No slide of that name, or more than one, has been seen."""


class UnknownImage(DatabaseError):
    """No image has that number."""


class UnknownPage(DatabaseError):
    """A page was asked for by something that no page before it named as the next."""
