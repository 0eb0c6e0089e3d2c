"""`smearcount inbox`."""

import os
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import CommandError
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.db.ingest.inbox_moves import move_inbox
from smearcount.inbox.paths import to_text


@click.group()
def inbox() -> None:
    """Say that a watched folder lies elsewhere now."""


@inbox.command()
@click.argument("old")
@click.argument("new", type=click.Path(path_type=Path))
@options.data
@options.database
def move(old: str, new: Path, data: Path | None, database_url: str | None) -> None:
    """Let the inbox OLD, a path or a name that status lists, be the folder NEW: nothing is counted again.

    Move the folder yourself, with its files; this changes the database alone. End `up` or the watcher first, and start it
    with NEW afterwards. An inbox that SMEARCOUNT_INBOX_NAME names keeps its name, and needs no such command.
    """
    site = open_site(data=data, database_url=database_url)
    if site.watcher.inbox_name:
        raise CommandError(
            f"SMEARCOUNT_INBOX_NAME names the inbox ({site.watcher.inbox_name}) wherever it lies; just watch {new}"
        )
    if not new.is_dir():
        raise CommandError(f"{new} is no folder on this machine; move the inbox there first")
    root = os.path.realpath(new)
    names = [to_text(old), to_text(os.path.realpath(old)), to_text(os.path.abspath(old)), old]  # noqa: PTH100
    with site.counted_database() as database:
        moved = move_inbox(database, names, site.watcher.name_of(new), root)
    print_message(f"the inbox {moved} is {to_text(root)} now; start with: smearcount up {to_text(str(new))}")
