"""Options that several commands share."""

import codecs
import sys
from pathlib import Path

import click

from smearcount.differential.tally import CallsAsked

data = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for database, broker file and logs.  [env: SMEARCOUNT_DATA]",
)
database = click.option(
    "--database",
    "database_url",
    metavar="URL",
    help="Database, such as postgresql://user:secret@host/smearcount.  [env: SMEARCOUNT_DATABASE_URL]",
)
broker = click.option(
    "--broker",
    "broker_url",
    metavar="URL",
    help="Valkey or Redis, such as redis://host:6379/0.  [env: SMEARCOUNT_BROKER_URL]",
)
users = click.option(
    "--users",
    "web_users",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Users of the web server; default: users.json in the data folder.  [env: SMEARCOUNT_WEB_USERS]",
)
port = click.option(
    "--port",
    "web_port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Port of the web server; 0 takes any free one.  [env: SMEARCOUNT_WEB_PORT]",
)
workers = click.option(
    "--workers",
    type=click.IntRange(min=0),
    metavar="N",
    help="Processes that classify, each on one core; 0 is one per core.  [env: SMEARCOUNT_WORKERS]",
)
poll = click.option(
    "--poll",
    is_flag=True,
    default=None,
    help="Look through the inbox regularly instead of waiting for file events (network shares).  [env: SMEARCOUNT_POLL]",
)
inbox_name = click.option(
    "--inbox",
    metavar="NAME",
    help="Only this inbox, where several are watched (the command status lists them).",
)


def _with_mark(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Begin the output of csv-excel with the mark of UTF-8; from then on it is CSV like any other."""
    if value != "csv-excel":
        return value
    sys.stdout.flush()
    sys.stdout.buffer.write(codecs.BOM_UTF8)
    return "csv"


output = click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "csv", "csv-excel"]),
    default="table",
    show_default=True,
    callback=_with_mark,
    help="How to print it; csv-excel begins with the mark by which Excel knows UTF-8.",
)
calls = click.option(
    "--calls",
    type=click.Choice([one.value for one in CallsAsked]),
    default=CallsAsked.REVIEWED.value,
    show_default=True,
    help="Whose calls to count: the model's alone, those of people before the model's, or one after the other.",
)
