"""Where this machine sees the inboxes: each machine mounts a share where it likes; the database keeps paths within it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mounts:
    """Where this machine sees the inboxes that it does not see at their watcher's path.

    Folders and names are in the text form of `inbox.paths`.
    """

    #: Absolute path of the folder, by the name of the inbox.
    folders: Mapping[str, str] = field(default_factory=dict)
    #: Absolute path of the folder of every other inbox; None: this machine sees it at its watcher's path.
    elsewhere: str | None = None

    def folder(self, inbox: str, root: str) -> str:
        """Return where this machine sees an inbox.

        Args:
            inbox: name of the inbox.
            root: absolute path at which its watcher sees it.
        """
        return self.folders.get(inbox, self.elsewhere or root)

    def misfit(self, inboxes: Collection[str]) -> str | None:
        """Return why the setting SMEARCOUNT_MOUNTS does not fit the inboxes; None if it fits.

        Args:
            inboxes: names of all inboxes that have ever been watched; the setting fits while there is none.
        """
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
