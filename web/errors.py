"""What can go wrong in serving the API and the pages."""

from smearcount.differential.errors import SmearcountError


class WebError(SmearcountError):
    """The web server cannot do what it was asked."""


class UsersInvalid(WebError):
    """The file of the users cannot be read or written, or what was asked of it is impossible."""


class AccessOpen(WebError):
    """The server would be reachable from the network without anyone having to say who they are."""
