"""`smearcount counts`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.site import Site
from smearcount.cli.views import formats
from smearcount.cli.views.screen import show, write
from smearcount.db.queries.counts import slide_tally
from smearcount.differential.report import report


@click.command()
@click.argument("slide")
@options.output
@options.inbox_name
@options.data
@options.database
def counts(slide: str, output: str, inbox: str | None, data: Path | None, database_url: str | None) -> None:
    """Show the differential count of SLIDE.

    Percentages are of the WBC counted, with the exact 95 % interval; nucleated red cells are given per 100 WBC, platelets
    and unidentified cells as numbers. The JSON is described by differential/counts.schema.json.
    """
    site = Site(data=data, database_url=database_url)
    with site.counted_database() as database:
        result = report(slide_tally(database, slide, inbox=inbox), site.counts)
    if output == "json":
        write(formats.counts_json(result))
    elif output == "csv":
        write(formats.counts_csv(result))
    else:
        show(formats.differential_table(result))
