"""`smearcount counts`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views import formats
from smearcount.cli.views.console import print_json, print_message, print_raw, print_result
from smearcount.db.queries.counts import find_slide_id
from smearcount.db.review.withdrawal import is_withdrawn
from smearcount.differential.tally import CallsAsked
from smearcount.web.queries.examinations import examinations


@click.command()
@click.argument("slide")
@options.calls
@options.output
@options.inbox_name
@options.data
@options.database
def counts(slide: str, calls: str, output: str, inbox: str | None, data: Path | None, database_url: str | None) -> None:
    """Show the differential count of SLIDE, and what people did with it.

    Where people have called cells, their calls count; --calls automatic shows the model's alone. Percentages are of the WBC
    counted, with the exact 95 % interval; nucleated red cells are given per 100 WBC, platelets and unidentified cells as
    numbers. The JSON always holds both counts and is described by differential/counts.schema.json.

    A signed slide is shown as it was signed, whatever happened to reference ranges and models since.
    """
    site, asked = open_site(data=data, database_url=database_url), CallsAsked(calls)
    with site.counted_database() as database:
        slide_id = find_slide_id(database, slide, inbox=inbox)
        (examined,) = examinations(database, [slide_id], site.counts, withdrawn=True)
        if is_withdrawn(database, slide_id):
            print_message("this slide is withdrawn: lists, exports and totals leave it out")
    if output == "json":
        print_json(formats.counts_json(examined, asked))
    elif output == "csv":
        print_raw(formats.counts_csv(examined, asked))
    else:
        print_result(formats.differential_table(examined, asked))
