"""What keeps a watcher from watching."""

from smearcount.differential.errors import SmearcountError


class WatcherError(SmearcountError):
    """The inbox cannot be watched."""


class LayoutInvalid(WatcherError):
    """The pattern that tells slides from paths cannot be used."""


class InboxBusy(WatcherError):
    """Another watcher has this inbox."""
