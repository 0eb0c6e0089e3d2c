"""`smearcount worker`."""

from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.errors import CommandError
from smearcount.cli.local.readiness import report_ready
from smearcount.cli.logs import log_to_stderr
from smearcount.cli.startup import migrate_when_ready, open_site, warn_of_mounts
from smearcount.models.card import check_model
from smearcount.worker.service import run_worker


@click.command()
@options.workers
@options.data
@options.database
@options.broker
def worker(workers: int | None, data: Path | None, database_url: str | None, broker_url: str | None) -> None:
    """Classify what is queued, on this machine; start as many, on as many machines, as you like.

    It needs the database and the broker that the watcher uses, and must see the inbox: at the watcher's path, or where
    SMEARCOUNT_MOUNTS says. Ctrl-C or SIGTERM ends it after the batch under way.
    """
    site = open_site(data=data, database_url=database_url, broker_url=broker_url, workers=workers)
    log_to_stderr(site.log)
    card = check_model(site.models)  # Refuse a wrong model here once, and not in each child process.
    # A child that is started later must not take another model than the first ones.
    models = site.models.model_copy(update={"model_sha256": card.content_sha256})
    with site.database as database:
        migrate_when_ready(database)
        warn_of_mounts(database, site.mounts)
    report_ready()
    code = run_worker(
        site.worker, models, broker_url=site.broker_url, database_url=site.database_url, mounts=site.mounts
    )
    if code:
        raise CommandError(f"the worker ended with code {code}; its log says why")
