"""`smearcount migrate`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.db.migration import latest_revision
from smearcount.db.migration import migrate as migrate_database


@click.command()
@options.data
@options.database
def migrate(data: Path | None, database_url: str | None) -> None:
    """Create or upgrade the database's tables; up, watch and worker do this by themselves."""
    site = open_site(data=data, database_url=database_url)
    with site.database as database:
        migrate_database(database)
        print_message(f"{database.shown} is at schema {latest_revision()}")
