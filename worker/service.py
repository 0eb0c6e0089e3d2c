"""The worker as a process: Celery's pool of children, each with its own connection and its own copy of the network."""

import logging
import socket
from dataclasses import dataclass
from functools import cached_property

from celery import Celery, signals
from models.classifier import Classifier, load_classifier
from models.settings import ModelSettings

from db.database import Database
from db.errors import DatabaseUnavailable
from worker.application import CLASSIFY, QUEUE, make_application
from worker.batches import work_through
from worker.settings import WorkerSettings

_log = logging.getLogger("smearcount.worker")


@dataclass
class Bench:
    """What one child works with; made on first use, since neither connections nor networks survive a fork."""

    database_url: str
    model_settings: ModelSettings
    threads: int
    name: str

    @cached_property
    def database(self) -> Database:
        """The child's own connection."""
        return Database(self.database_url)

    @cached_property
    def classifier(self) -> Classifier:
        """The child's own copy of the network."""
        return load_classifier(self.model_settings, threads=self.threads)


def run_worker(settings: WorkerSettings, model_settings: ModelSettings, *, broker_url: str, database_url: str) -> int:
    """Work until told to stop (SIGTERM or SIGINT: the batch under way is finished first); return the exit code."""
    name = socket.gethostname()
    application = make_application(settings, broker_url)
    _register(application, Bench(database_url, model_settings, settings.threads_per_process, name))
    worker = application.Worker(
        hostname=f"smearcount@{name}",
        pool="prefork",
        concurrency=settings.processes,
        queues=[QUEUE],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="INFO",
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _register(application: Celery, bench: Bench) -> None:
    def classify(image_ids: list[int]) -> None:
        try:
            work_through(bench.database, bench.classifier, bench.name, image_ids)
        except DatabaseUnavailable as error:
            # The message is gone after this, the images are not: the watcher queues again what the queue has lost.
            _log.warning("%s; the watcher will queue these %d images again", error, len(image_ids))

    def load(**_: object) -> None:
        # Loading while the child waits for its first batch, not after it came.
        bench.classifier  # noqa: B018

    application.task(name=CLASSIFY)(classify)
    signals.worker_process_init.connect(load, weak=False)
