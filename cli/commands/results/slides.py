"""`smearcount slides`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views import formats
from smearcount.cli.views.console import print_json, print_message, print_raw, print_result
from smearcount.cli.views.lines import slide_lines
from smearcount.db.queries.counts import slide_tallies
from smearcount.differential.tally import CallsAsked


@click.command()
@options.calls
@click.option("--withdrawn", is_flag=True, help="List the slides that were withdrawn, which are left out otherwise.")
@options.output
@options.inbox_name
@options.data
@options.database
def slides(
    calls: str, withdrawn: bool, output: str, inbox: str | None, data: Path | None, database_url: str | None
) -> None:
    """List the slides, one line each.

    Where people have called cells, their calls count. With --calls both, such a slide has two lines, the automatic count
    first.
    """
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        tallies = slide_tallies(database, inbox=inbox, withdrawn=withdrawn)
    lines = slide_lines(tallies, CallsAsked(calls), site.counts)
    if output == "json":
        print_json(formats.slides_json(lines))
    elif output == "csv":
        print_raw(formats.slides_csv(lines))
    elif lines:
        print_result(formats.slides_table(lines))
    else:
        print_message("no slide is withdrawn" if withdrawn else "no slide has been seen yet")
