"""`smearcount retry`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.db.ingest.retry import retry as retry_images
from smearcount.db.queries.counts import find_slide_id


@click.command()
@click.argument("slide", required=False)
@options.inbox_name
@options.data
@options.database
def retry(slide: str | None, inbox: str | None, data: Path | None, database_url: str | None) -> None:
    """Try the quarantined images of SLIDE, or of all slides, again.

    They are queued by the running watcher, or by the next one that starts.
    """
    site = open_site(data=data, database_url=database_url)
    with site.counted_database() as database:
        slide_id = None if slide is None else find_slide_id(database, slide, inbox=inbox)
        count = retry_images(database, slide_id=slide_id)
    print_message(f"{count} images will be tried again" if count else "no quarantined images to try again")
