"""`smearcount config`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views.rows import print_rows


@click.command()
@options.output
@options.data
@options.database
@options.broker
def config(output: str, data: Path | None, database_url: str | None, broker_url: str | None) -> None:
    """Show every setting, its value, and whether it is the default, from the environment or from an option.

    Settings are environment variables; what each is for stands in the JSON and CSV output and in the README.
    """
    lines = open_site(data=data, database_url=database_url, broker_url=broker_url).lines()
    print_rows(lines, output, ("setting", "value", "source") if output == "table" else None)
