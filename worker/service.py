"""The worker as a process: Celery's pool of children, each with its own connection and its own copy of the network."""

import logging
import mmap
import os
import socket
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter

from billiard import pool
from billiard import util as billiard_util
from celery import Celery, Task, signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.inbox.mounts import Mounts
from smearcount.models.inference.classifier import Classifier, load_classifier
from smearcount.models.settings import ModelSettings
from smearcount.worker.application import CLASSIFY, QUEUE, make_application
from smearcount.worker.batches import Worked, work_through
from smearcount.worker.memory import keep_freed_memory
from smearcount.worker.settings import WorkerSettings
from smearcount.worker.visibility import Sight

_log = logging.getLogger("smearcount.worker")

#: How long a child that is to end waits until the parent has heard that its batch is done, in tenths of a second.
_UNHEARD_TENTHS = 20


@dataclass
class Bench:
    """What one child works with; made on first use, since neither connections nor networks survive a fork."""

    database_url: str
    model_settings: ModelSettings
    name: str
    mounts: Mounts
    #: How long to idle after a batch of which nothing is seen, in seconds.
    pause_seconds: float
    #: One byte that parent and children share, whatever becomes of any of them; not 0 once all are to end.
    stopping: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 1))

    @cached_property
    def sight(self) -> Sight:
        """Whether the child sees what it is given."""
        return Sight(pause_seconds=self.pause_seconds, is_stopping=lambda: self.stopping[0] != 0)

    @cached_property
    def database(self) -> Database:
        """The child's own connection."""
        return Database(self.database_url)

    @cached_property
    def classifier(self) -> Classifier:
        """The child's own copy of the network, on one core: decoding, hashing and storing cannot use a second one."""
        return load_classifier(self.model_settings, threads=1)


def run_worker(
    settings: WorkerSettings,
    model_settings: ModelSettings,
    *,
    broker_url: str,
    database_url: str,
    mounts: Mounts | None = None,
) -> int:
    """Work until told to stop (SIGTERM or SIGINT: the batch under way is finished first); return the exit code."""
    name = socket.gethostname()
    application = make_application(settings, broker_url)
    bench = Bench(database_url, model_settings, name, mounts or Mounts(), settings.pause_seconds)
    _register(application, bench)
    _speak_plainly()
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
    # Told to stop in the milliseconds between handing a batch over and hearing that it was begun, Celery no longer
    # listens to that child, which then waited half a minute to be heard (seen in two of ninety stops). Its results are
    # stored and its message comes again, so there is nothing to wait for.
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = _UNHEARD_TENTHS
    # Each time a connection breaks it recommends another setting than the one chosen for that (see `application`). Only
    # now, since making the worker has it shown always.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    was_told_to = _note_warm_shutdown(bench)
    worker.start()
    # Celery ends with 1 after Ctrl-C, as if something had failed.
    return 0 if was_told_to else int(worker.exitcode or 0)


def _speak_plainly() -> None:
    """Keep out of the log what would frighten without cause, and what is said better elsewhere."""
    signals.setup_logging.connect(_leave_log_alone, weak=False)
    # One line each when a message is received and when it is done with, which our own two say better.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Celery warns root of pickled messages; ours are JSON.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    if os.geteuid() == 0:
        _log.info("running as root; any user that may read the inbox and use the database will do")
    # A process that died or hung, or a broker that went away, is said in one line; where in Celery it was noticed
    # helps nobody. What goes wrong within a batch is logged elsewhere, with its traceback.
    logging.getLogger("celery.worker.request").addFilter(_without_traceback)


def _leave_log_alone(**_: object) -> None:
    """Keep Celery from adding handlers: its lines come out in the form of all others, and billiard's with them."""
    log = billiard_util.get_logger()
    log.setLevel(logging.ERROR)
    log.propagate = True


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True


def _note_warm_shutdown(bench: Bench) -> list[str]:
    """Return a list that will hold the signal by which the worker was told to finish its work and end."""
    noted: list[str] = []

    def note(sig: str, how: str, **_: object) -> None:
        bench.stopping[0] = 1
        if how == "Warm":
            noted.append(sig)
        else:
            noted.clear()

    signals.worker_shutting_down.connect(note, weak=False)
    return noted


def _register(application: Celery, bench: Bench) -> None:
    def classify(task: Task, image_ids: list[int]) -> None:
        begun_at = perf_counter()
        trace = str(task.request.id)
        _log.info("batch of %d images begun", len(image_ids), extra={"trace": trace})
        try:
            worked = work_through(bench.database, bench.classifier, bench.name, image_ids, trace, bench.mounts)
        except DatabaseUnavailable as error:
            # The message is gone after this, the images are not: the watcher queues again what the queue has lost.
            _log.warning(
                "%s; the watcher will queue these %d images again", error, len(image_ids), extra={"trace": trace}
            )
            return
        _log.info("batch stored", extra=_facts(worked, trace, perf_counter() - begun_at))
        bench.sight.after(bench.database, worked, trace)

    def load(**_: object) -> None:
        keep_freed_memory()
        # Loading while the child waits for its first batch, not after it came.
        bench.classifier  # noqa: B018

    application.task(name=CLASSIFY, bind=True)(classify)
    signals.worker_process_init.connect(load, weak=False)


def _facts(worked: Worked, trace: str, seconds: float) -> dict[str, object]:
    return {
        "trace": trace,
        "slide": worked.slide_id,
        "classified": worked.classified,
        "refused": worked.refused,
        "postponed": len(worked.unseen),
        "milliseconds": round(seconds * 1000),
    }
