"""`smearcount slides`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.site import Site
from smearcount.cli.views import formats
from smearcount.cli.views.screen import say, show, write
from smearcount.db.queries.counts import slide_tallies
from smearcount.differential.line import line


@click.command()
@options.output
@options.inbox_name
@options.data
@options.database
def slides(output: str, inbox: str | None, data: Path | None, database_url: str | None) -> None:
    """List the slides, one line each."""
    site = Site(data=data, database_url=database_url)
    with site.counted_database() as database:
        tallies = slide_tallies(database, inbox=inbox)
    lines = [line(one.tally, site.counts, inbox=one.inbox) for one in tallies]
    if output == "json":
        write(formats.slides_json(lines))
    elif output == "csv":
        write(formats.slides_csv(lines))
    elif lines:
        show(formats.slides_table(lines))
    else:
        say("no slide has been seen yet")
