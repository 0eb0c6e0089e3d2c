"""`smearcount withdraw`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.db.queries.counts import find_slide_id
from smearcount.db.review import withdrawal


@click.command()
@click.argument("slide")
@click.option("--by", "reviewer", required=True, metavar="NAME", help="Name of the person who decides it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is kept in the slide's history.")
@click.option("--undo", is_flag=True, help="Restore a slide that was withdrawn.")
@options.inbox_name
@options.data
@options.database
def withdraw(
    slide: str, reviewer: str, reason: str, undo: bool, inbox: str | None, data: Path | None, database_url: str | None
) -> None:
    """Withdraw SLIDE: lists, exports and totals leave it out, such as a second export under a misspelt name.

    Nothing is deleted, and --undo restores it as it was. The command slides --withdrawn lists the withdrawn slides.
    """
    site = open_site(data=data, database_url=database_url)
    change = withdrawal.restore if undo else withdrawal.withdraw
    with site.counted_database() as database:
        change(database, find_slide_id(database, slide, inbox=inbox), reviewer=reviewer, reason=reason)
    print_message(f"slide {slide} is restored" if undo else f"slide {slide} is withdrawn")
