"""The worker as a process: Celery's pool of children, each with its own connection and its own copy of the network."""

import logging
import mmap
import os
import socket
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from time import perf_counter

import billiard
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
from smearcount.worker.batches import BatchSummary, process_batch
from smearcount.worker.errors import WorkerError
from smearcount.worker.memory import keep_freed_memory
from smearcount.worker.settings import WorkerSettings
from smearcount.worker.visibility import Visibility

_log = logging.getLogger("smearcount.worker")

#: How long an ending child waits until its parent has received that its batches are done, in tenths of a second.
_CONSUMPTION_TENTHS = 20


@dataclass
class ProcessContext:
    """What one child works with; made on first use, since neither connections nor networks survive a fork."""

    database_url: str
    model_settings: ModelSettings
    name: str
    mounts: Mounts
    #: How long to idle after a batch of which nothing is visible, in seconds.
    pause_seconds: float
    #: One byte that parent and children share, even if some of them die; not 0 once all are to end.
    stopping: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 1))

    @cached_property
    def visibility(self) -> Visibility:
        """Whether the child sees the images that it is given."""
        return Visibility(pause_seconds=self.pause_seconds, is_stopping=lambda: self.stopping[0] != 0)

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
    """Work until SIGTERM or SIGINT, finish the batch under way, and return the exit code."""
    _require_shared_memory()
    name = socket.gethostname()
    application = make_application(settings, broker_url)
    context = ProcessContext(database_url, model_settings, name, mounts or Mounts(), settings.pause_seconds)
    _register(application, context)
    _configure_logging()
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
    # If a stop comes in the milliseconds between handing over a batch and learning that the child began it, Celery no longer
    # listens to that child, and the child waited half a minute to be heard (seen in two of ninety stops). Its results are stored
    # and its message is delivered again, so nothing needs that wait.
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = _CONSUMPTION_TENTHS
    # Each time a connection breaks, Celery recommends another setting than the one chosen for that (see `application`). Filter
    # it only now: making the worker adds a filter that always shows it.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    warm_shutdowns = _record_warm_shutdown(context)
    worker.start()
    # Celery ends with 1 after Ctrl-C, as if something had failed.
    return 0 if warm_shutdowns else int(worker.exitcode or 0)


def _require_shared_memory() -> None:
    """Refuse to start where the pool of children could not make its locks.

    Raises:
        WorkerError: semaphores cannot be made on this machine; the message says what to do.
    """
    try:
        billiard.Lock()
    except OSError as error:
        raise WorkerError(
            f"this system gives no shared memory to workers (/dev/shm: {error.strerror}); mount a tmpfs there that this "
            "user may write to, such as with --tmpfs /dev/shm"
        ) from None


def _configure_logging() -> None:
    """Keep lines out of the log that would alarm without cause, or that repeat our own."""
    signals.setup_logging.connect(_keep_handlers, weak=False)
    # Celery logs when it receives a message and when it is done with one; our own two lines say more.
    for name in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Celery warns root of pickled messages; ours are JSON.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    if os.geteuid() == 0:
        _log.info("running as root; any user that may read the inbox and use the database will do")
    # One line is enough for a process that died or hung, or a broker that went away: the place in Celery that noticed it helps
    # nobody. Errors within a batch are logged elsewhere, with their traceback.
    logging.getLogger("celery.worker.request").addFilter(_without_traceback)


def _keep_handlers(**_: object) -> None:
    """Keep Celery from adding log handlers, so that its lines and billiard's have the form of all others."""
    log = billiard_util.get_logger()
    log.setLevel(logging.ERROR)
    log.propagate = True


def _without_traceback(record: logging.LogRecord) -> bool:
    record.exc_info = record.exc_text = None
    return True


def _record_warm_shutdown(context: ProcessContext) -> list[str]:
    """Return a list that will hold the signal, if one asks the worker to finish its batches and end."""
    received: list[str] = []

    def receive(sig: str, how: str, **_: object) -> None:
        context.stopping[0] = 1
        if how == "Warm":
            received.append(sig)
        else:
            received.clear()

    signals.worker_shutting_down.connect(receive, weak=False)
    return received


def _register(application: Celery, context: ProcessContext) -> None:
    def classify(task: Task, image_ids: list[int]) -> None:
        begun_at = perf_counter()
        trace = str(task.request.id)
        _log.info("batch of %d images begun", len(image_ids), extra={"trace": trace})
        try:
            summary = process_batch(
                context.database, context.classifier, context.name, image_ids, trace, context.mounts
            )
        except DatabaseUnavailable as error:
            # The message is used up now, but the images are not lost: the watcher queues again what the queue has lost.
            _log.warning(
                "%s; the watcher will queue these %d images again", error, len(image_ids), extra={"trace": trace}
            )
            return
        _log.info("batch stored", extra=_log_fields(summary, trace, perf_counter() - begun_at))
        context.visibility.after_batch(context.database, summary, trace)

    def load(**_: object) -> None:
        keep_freed_memory()
        # Load the network while the child waits for its first batch, not after the batch came.
        context.classifier  # noqa: B018

    application.task(name=CLASSIFY, bind=True)(classify)
    signals.worker_process_init.connect(load, weak=False)


def _log_fields(summary: BatchSummary, trace: str, seconds: float) -> dict[str, object]:
    return {
        "trace": trace,
        "slide": summary.slide_id,
        "classified": summary.classified,
        "refused": summary.refused,
        "postponed": len(summary.not_visible),
        "milliseconds": round(seconds * 1000),
    }
