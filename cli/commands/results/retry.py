"""`smearcount retry`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.db.ingest.retry import Reopening, Retried
from smearcount.db.ingest.retry import retry as retry_images
from smearcount.db.queries.counts import find_slide_id
from smearcount.differential.flags import number_of


@click.command()
@click.argument("slide", required=False)
@click.option(
    "--signed",
    is_flag=True,
    help="Signed slides too: they are reopened, and need signing again. Needs --reviewer and --reason.",
)
@click.option("--reviewer", metavar="NAME", help="Who reopens signed slides; it is kept in their history.")
@click.option("--reason", metavar="TEXT", help="Why signed slides are reopened; it is kept in their history.")
@options.inbox_name
@options.data
@options.database
def retry(
    slide: str | None,
    signed: bool,
    reviewer: str | None,
    reason: str | None,
    inbox: str | None,
    data: Path | None,
    database_url: str | None,
) -> None:
    """Try the quarantined images of SLIDE, or of all slides, again.

    They are queued by the running watcher, or by the next one that starts. Signed slides are left alone unless --signed is
    given.
    """
    reopening = _reopening(signed, reviewer, reason)
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        slide_id = None if slide is None else find_slide_id(database, slide, inbox=inbox)
        done = retry_images(database, slide_id=slide_id, reopening=reopening)
    for line in _lines(done):
        print_message(line)


def _reopening(signed: bool, reviewer: str | None, reason: str | None) -> Reopening | None:
    if not signed:
        if reviewer is not None or reason is not None:
            raise click.UsageError("--reviewer and --reason belong to --signed")
        return None
    if reviewer is None or reason is None:
        raise click.UsageError("--signed ends signatures: say who does it with --reviewer, and why with --reason")
    return Reopening(reviewer, reason)


def _lines(done: Retried) -> list[str]:
    tried = number_of(done.images, "quarantined image")
    lines = [f"{tried} will be tried again" if done.images else "no quarantined images to try again"]
    if done.reopened_slides:
        lines.append(f"{number_of(done.reopened_slides, 'signed slide')} reopened")
    if done.skipped_slides:
        slides, images = (
            number_of(done.skipped_slides, "signed slide"),
            number_of(done.skipped_images, "quarantined image"),
        )
        lines.append(f"{slides} left alone, with {images}; --signed tries them too")
    return lines
