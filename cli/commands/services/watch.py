"""`smearcount watch`."""

import signal
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.local.readiness import report_ready
from smearcount.cli.logs import log_to_stderr
from smearcount.cli.signals import outlive_terminal
from smearcount.cli.startup import migrate_when_ready, open_site
from smearcount.watcher.watch import Watcher
from smearcount.worker.queue import BatchQueue


@click.command()
@click.argument("inbox", type=click.Path(path_type=Path))
@options.poll
@options.data
@options.database
@options.broker
def watch(inbox: Path, poll: bool | None, data: Path | None, database_url: str | None, broker_url: str | None) -> None:
    """Watch INBOX and queue what arrives, for workers on this or other machines.

    One watcher per inbox. It needs the database and the broker that the workers use. Ctrl-C or SIGTERM ends it; nothing is
    lost, the next one goes on.
    """
    outlive_terminal()
    site = open_site(data=data, database_url=database_url, broker_url=broker_url, poll=poll)
    log_to_stderr(site.log)
    with site.database as database:
        migrate_when_ready(database)
        queue = BatchQueue(site.worker, site.broker_url)
        watcher = Watcher(inbox, database, queue, site.watcher)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: watcher.stop())
        report_ready()
        try:
            watcher.run()
        finally:
            watcher.close()
            queue.close()
