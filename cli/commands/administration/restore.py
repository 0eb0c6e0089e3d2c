"""`smearcount restore`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.signals import interrupt_on_sigterm
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message, progress_bar
from smearcount.db.backup import backups
from smearcount.db.migration import latest_revision


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--replace", is_flag=True, help="Lose the slides that the database holds now.")
@click.option(
    "--without-digest", is_flag=True, help="Take a FILE without FILE.hmac although SMEARCOUNT_BACKUP_SECRET is set."
)
@options.data
@options.database
def restore(file: Path, replace: bool, without_digest: bool, data: Path | None, database_url: str | None) -> None:
    """Put the rows of the backup FILE in the place of those in the database, all or nothing.

    Only rows are taken from FILE: triggers, views and programs that somebody has put there are left out.

    Nothing may use the database: end `up`, or watchers, workers and web server on all machines, first. A backup of an
    earlier version is brought to this one's schema; one of a newer version is refused. What was counted after the backup is
    counted again at the next start, as long as the images are still in the inbox; reviews made after it are lost. Ctrl-C
    leaves the database as it was.
    """
    interrupt_on_sigterm()
    site = open_site(data=data, database_url=database_url)
    with site.database as database, progress_bar("restoring, percent", 100) as progress:
        found = backups.restore(
            database,
            file,
            replace=replace,
            progress=progress,
            secret=site.backup_secret,
            may_lack_digest=without_digest,
        )
    upgraded = "" if found.revision == latest_revision() else f", upgraded from {found.revision}"
    print_message(f"{database.shown} holds what {file} held, at schema {latest_revision()}{upgraded}")
