"""`smearcount backup`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.signals import interrupt_on_sigterm
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message, progress_bar
from smearcount.db.backup.backups import back_up


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--replace", is_flag=True, help="Replace an earlier FILE, once the new one is whole.")
@options.data
@options.database
def backup(file: Path, replace: bool, data: Path | None, database_url: str | None) -> None:
    """Write the whole database into FILE, while everything runs.

    FILE holds one state of the database, and appears when it is whole: a SQLite file, or, of PostgreSQL, an archive of
    pg_dump, which must be installed. Only its owner may read it, since it holds the names of slides. Users of the pages and
    a site's own models lie in the data folder and are not in it. With SMEARCOUNT_BACKUP_SECRET, FILE.hmac is written
    beside it, by which restore recognises it. Ctrl-C leaves nothing behind.
    """
    interrupt_on_sigterm()
    site = open_site(data=data, database_url=database_url)
    with site.database as database, progress_bar("backing up, percent", 100) as progress:
        made = back_up(database, file, replace=replace, progress=progress, secret=site.backup_secret)
    print_message(f"{file} holds {database.shown} at schema {made.revision} ({made.bytes / 1e6:.1f} MB)")
