"""`smearcount deliver`."""

import signal
from importlib.metadata import version
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import CommandError
from smearcount.cli.local.readiness import report_ready
from smearcount.cli.logs import log_to_stderr
from smearcount.cli.startup import migrate_when_ready, open_site
from smearcount.delivery.destinations import destinations
from smearcount.delivery.service import Service


@click.command()
@options.data
@options.database
def deliver(data: Path | None, database_url: str | None) -> None:
    """Send results to the systems that SMEARCOUNT_DESTINATIONS names, as people sign, reopen, correct and withdraw slides.

    Nothing is lost and nothing becomes two results, whatever is killed or does not answer; several of these processes may
    run, of which one sends to each destination. docs/delivery.md says how to set a destination up. Ctrl-C or SIGTERM ends
    it after the message under way.
    """
    site = open_site(data=data, database_url=database_url)
    log_to_stderr(site.log)
    named = destinations(site.delivery.destinations.get_secret_value())
    if not named:
        raise CommandError("there is nowhere to send to; name a receiver in SMEARCOUNT_DESTINATIONS")
    with site.database as database:
        migrate_when_ready(database)
        service = Service(database, named, site.delivery, site.counts, version=version("smearcount"))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: service.stop())
        report_ready()
        service.run()
