"""The Celery application: its settings, and the one kind of message there is."""

import socket

from celery import Celery

from smearcount.worker.channel import use_channel
from smearcount.worker.settings import WorkerSettings

QUEUE = "smearcount"
CLASSIFY = "smearcount.classify"
#: Set apart from whatever else uses the same broker.
KEY_PREFIX = "smearcount:"


#: A broker that vanished, or has forgotten the connection, is noticed within half a minute. While a worker waits for a
#: message nothing else would tell it, and kombu looks after at most 51 s.
_SECONDS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 25_000}
_NOTICE_SOON = {getattr(socket, name): value for name, value in _SECONDS.items() if hasattr(socket, name)}


def make_application(settings: WorkerSettings, broker_url: str) -> Celery:
    """Return the application that queues and works on messages at `broker_url`."""
    use_channel()
    application = Celery("smearcount", broker=broker_url, set_as_current=False)
    application.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        # Results are rows in the database; nothing waits for a task.
        task_ignore_result=True,
        # A message is done with only when its results are stored; a worker that dies leaves it to the next.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        task_time_limit=settings.batch_seconds,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A batch under way when the broker goes is still stored; its message comes again and changes nothing.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options={
            "global_keyprefix": KEY_PREFIX,
            "visibility_timeout": settings.redelivery_seconds,
            # Without these two a message of a killed worker came back only after ten times the timeout (measured).
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 3,
            "socket_keepalive": True,
            "socket_keepalive_options": _NOTICE_SOON,
        },
    )
    return application
