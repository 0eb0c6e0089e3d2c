"""The Celery application: its settings, and the only kind of message."""

import socket

from celery import Celery

from smearcount.worker.channel import use_channel
from smearcount.worker.settings import WorkerSettings
from smearcount.worker.tls import tls_options

QUEUE = "smearcount"
CLASSIFY = "smearcount.classify"
#: Separates our keys from those of other programs on the same broker.
KEY_PREFIX = "smearcount:"

# With these a worker notices within half a minute that the broker vanished or has forgotten the connection. While it waits for
# a message nothing else would show that, and kombu checks only after up to 51 s.
_KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 25_000}
_KEEPALIVE_OPTIONS = {getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)}

#: Much longer than it takes to look for messages of killed workers, much shorter than anybody wants to wait for them. If it runs
#: out too early, a message is delivered twice, and its results are still stored once.
_RESTORE_LOCK_SECONDS = 10


def make_application(settings: WorkerSettings, broker_url: str) -> Celery:
    """Return the application that sends and receives messages at `broker_url`."""
    use_channel()
    application = Celery("smearcount", broker=broker_url, set_as_current=False)
    application.conf.update(
        broker_use_ssl=tls_options(broker_url),
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        # Results are rows in the database; nothing waits for a task.
        task_ignore_result=True,
        # Acknowledge a message only when its results are stored: if the worker dies, another one gets it.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=settings.batch_seconds,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Store a batch that is under way when the broker goes away; its message comes again and changes nothing.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options={
            "global_keyprefix": KEY_PREFIX,
            "visibility_timeout": settings.visibility_seconds,
            # Without these two, a killed worker's message came back only after ten times the timeout (measured).
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            # Workers look for such messages in turn, under a lock. A worker that is killed in that moment leaves the lock behind,
            # and by default no message comes back for five minutes then (seen in a test).
            "unacked_mutex_expire": _RESTORE_LOCK_SECONDS,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "socket_keepalive_options": _KEEPALIVE_OPTIONS,
        },
    )
    return application
