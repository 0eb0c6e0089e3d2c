"""`smearcount migrate`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import CommandError
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.db.audit.guards import restore_guards
from smearcount.db.migration import latest_revision
from smearcount.db.migration import migrate as migrate_database
from smearcount.db.roles import Role, arrange

_ROLES = {"web": Role.WEB, "worker": Role.WORKER, "reader": Role.READER}


@click.command()
@click.option(
    "--login",
    "logins",
    type=(click.Choice(list(_ROLES)), click.Path(path_type=Path, dir_okay=False)),
    multiple=True,
    metavar="ROLE FILE",
    help="Let the user of the URL in FILE log in with its password and the rights of ROLE: web, worker or reader.",
)
@options.data
@options.database
def migrate(logins: tuple[tuple[str, Path], ...], data: Path | None, database_url: str | None) -> None:
    """Create or upgrade the database's tables; up, watch and worker do this by themselves.

    On PostgreSQL also make the roles smearcount_web, smearcount_worker and smearcount_reader, if this login may make roles,
    and grant each what its services need; only the owner of the tables can.
    """
    site = open_site(data=data, database_url=database_url)
    urls = [(_ROLES[role], _content(file)) for role, file in logins]
    with site.database as database:
        migrate_database(database)
        print_message(f"{database.shown} is at schema {latest_revision()}")
        missing = restore_guards(database)
        if missing:
            print_message(f"made the missing triggers {', '.join(missing)}")
        for (role, _), user in zip(urls, arrange(database, urls), strict=True):
            print_message(f"{user} may log in with the rights of {role}")


def _content(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, ValueError) as error:
        raise CommandError(
            f"the file {file} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        ) from None
