"""`smearcount retry`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.site import Site
from smearcount.cli.views.screen import say
from smearcount.db.ingest.retry import retry as retry_images


@click.command()
@click.argument("slide", required=False)
@options.inbox_name
@options.data
@options.database
def retry(slide: str | None, inbox: str | None, data: Path | None, database_url: str | None) -> None:
    """Try the quarantined images of SLIDE, or of all slides, again.

    They are queued by the running watcher, or by the next one that starts.
    """
    site = Site(data=data, database_url=database_url)
    with site.counted_database() as database:
        count = retry_images(database, slide=slide, inbox=inbox)
    say(f"{count} images will be tried again" if count else "no quarantined images to try again")
