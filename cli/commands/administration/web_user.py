"""`smearcount web-user`."""

import sys
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import CommandError
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.web.auth.users import LONGEST_PASSWORD, Role, Users, check_name


@click.command()
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.REVIEWER.value,
    show_default=True,
    help="A viewer sees everything, a reviewer also corrects, comments and signs.",
)
@click.option("--remove", is_flag=True, help="Remove the user instead; open sessions end.")
@options.users
@options.data
def web_user(name: str, role: str, remove: bool, web_users: Path | None, data: Path | None) -> None:
    """Let NAME log in to the web server, or give them another role and password.

    The password is asked for, or read as one line from standard input if that is no terminal; it is kept as an Argon2id
    hash alone. A running server takes the change at once; the very first user closes one that was open to everybody on this
    machine.
    """
    site = open_site(data=data, web_users=web_users)
    users = Users(site.web.users_file(site.data))
    if remove:
        users.remove(name)
        print_message(f"removed {name} from {users.path}")
        return
    check_name(name)
    is_first = not users.all()
    users.set(name, Role(role), _password())
    print_message(f"{name} may log in as {role}; users in {users.path}")
    if is_first:
        print_message("from now on everybody has to log in, at a server that runs already, too")


def _password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    given = sys.stdin.readline(LONGEST_PASSWORD + 2).rstrip("\r\n")
    if not given:
        raise CommandError("no password on standard input; give it as one line, or run the command in a terminal")
    return given
