"""Where this machine sees the inboxes: each may mount a share where it likes, and the database keeps paths within it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mounts:
    """The folders at which this machine sees inboxes that it does not see at their watcher's path.

    Folders and names are in the form of `inbox.paths`.
    """

    #: By the inbox's name.
    folders: Mapping[str, str] = field(default_factory=dict)
    #: Of every other inbox; None: its watcher's path.
    elsewhere: str | None = None

    def folder(self, inbox: str, root: str) -> str:
        """Return where this machine sees the inbox of that name, which its watcher sees at `root`."""
        return self.folders.get(inbox, self.elsewhere or root)

    def misfit(self, inboxes: Collection[str]) -> str | None:
        """Return in what the setting does not fit the inboxes that have ever been watched; None if it fits."""
        if not inboxes:
            return None
        known = ", ".join(sorted(inboxes))
        unknown = sorted(self.folders.keys() - set(inboxes))
        if unknown:
            return (
                f"SMEARCOUNT_MOUNTS names {', '.join(unknown)}, but the inboxes are: {known}; an inbox's name is its "
                "watcher's SMEARCOUNT_INBOX_NAME"
            )
        if self.elsewhere is not None and len(inboxes) > 1:
            return (
                f'SMEARCOUNT_MOUNTS is one folder, but there are several inboxes: {known}; name each, as {{"NAME": '
                '"/folder", ...}'
            )
        return None
