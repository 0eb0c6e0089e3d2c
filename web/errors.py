"""Errors of the web server."""

from smearcount.differential.errors import SmearcountError


class WebError(SmearcountError):
    """The web server cannot do what it was asked."""


class UsersInvalid(WebError):
    """The users file cannot be read or written, or it does not allow the change that was asked for."""


class AccessOpen(WebError):
    """The server would be reachable from the network without a login."""
