"""`smearcount counts`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views import formats
from smearcount.cli.views.console import print_raw, print_result
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
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        result = report(slide_tally(database, slide, inbox=inbox), site.counts)
    if output == "json":
        print_raw(formats.counts_json(result))
    elif output == "csv":
        print_raw(formats.counts_csv(result))
    else:
        print_result(formats.differential_table(result))
