"""`smearcount status`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.signals import interrupt_on_sigterm
from smearcount.cli.startup import open_site
from smearcount.cli.views.status import StatusView
from smearcount.worker.queue import BatchQueue


@click.command()
@click.option("--watch", "is_watching", is_flag=True, help="Look every 2 seconds until Ctrl-C.")
@options.output
@options.inbox_name
@options.data
@options.database
@options.broker
def status(
    is_watching: bool,
    output: str,
    inbox: str | None,
    data: Path | None,
    database_url: str | None,
    broker_url: str | None,
) -> None:
    """Show where the images are: arriving, pending, queued, done, quarantined; the rate, and the oldest that waits.

    What needs attention is said on standard error, with the name under which docs/runbook.md says what to do; the
    settings SMEARCOUNT_ALERT_* say from when on. The exit code does not tell of it.

    With --watch it is shown again every 2 seconds (an archive of millions of images is looked at less often), and where
    the output is no terminal, whenever something has changed.
    """
    site = open_site(data=data, database_url=database_url, broker_url=broker_url)
    queue = BatchQueue(site.worker, site.broker_url)
    try:
        with site.counted_database() as database:
            view = StatusView(database, queue, site, inbox=inbox, output=output)
            if is_watching:
                interrupt_on_sigterm()
                view.watch()
            else:
                view.show(view.look())
    finally:
        queue.close()
