"""The settings of queue and workers, and what Celery is told of them."""

import pytest
from pydantic import ValidationError

from smearcount.worker.application import CLASSIFY, KEY_PREFIX, QUEUE, make_application
from smearcount.worker.settings import WorkerSettings

BROKER = "redis://host:6379/0"


@pytest.mark.parametrize(("workers", "processes"), [(0, 6), (1, 1), (16, 16)])
def test_there_is_a_process_per_core_unless_a_number_is_given(
    monkeypatch: pytest.MonkeyPatch, workers: int, processes: int
) -> None:
    monkeypatch.setattr("smearcount.worker.settings.usable_cores", lambda: 6)

    assert WorkerSettings(workers=workers).processes == processes


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMEARCOUNT_BROKER_URL", BROKER)
    monkeypatch.setenv("SMEARCOUNT_BATCH_SECONDS", "7")

    settings = WorkerSettings()

    assert (settings.broker_url, settings.batch_seconds) == (BROKER, 7)


@pytest.mark.parametrize(
    "impossible",
    [{"workers": -1}, {"batch_seconds": 0}, {"batch_seconds": 90, "redelivery_seconds": 90}, {"redelivery_seconds": 1}],
)
def test_impossible_settings_are_refused(impossible: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings(**impossible)  # type: ignore[arg-type]


def test_a_message_is_done_with_only_when_its_results_are_stored() -> None:
    conf = make_application(WorkerSettings(), BROKER).conf

    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.worker_prefetch_multiplier == 1
    assert not conf.worker_cancel_long_running_tasks_on_connection_loss


def test_no_results_and_no_control_messages_go_over_the_broker() -> None:
    conf = make_application(WorkerSettings(), BROKER).conf

    assert conf.result_backend is None
    assert conf.task_ignore_result
    assert not conf.worker_enable_remote_control
    assert not conf.worker_send_task_events


def test_nothing_but_json_is_taken_from_the_broker() -> None:
    conf = make_application(WorkerSettings(), BROKER).conf

    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"


def test_the_broker_is_tried_for_ever() -> None:
    conf = make_application(WorkerSettings(), BROKER).conf

    assert conf.broker_connection_retry
    assert conf.broker_connection_retry_on_startup
    assert conf.broker_connection_max_retries is None


def test_a_lost_message_comes_again_soon_after_its_time() -> None:
    conf = make_application(WorkerSettings(batch_seconds=20, redelivery_seconds=30), BROKER).conf
    options = conf.broker_transport_options

    assert conf.task_time_limit == 20
    assert options["visibility_timeout"] == 30
    assert options["unacked_restore_interval"] == 1
    assert options["unacked_restore_throttle"] == 1
    assert options["global_keyprefix"] == KEY_PREFIX


@pytest.mark.parametrize(("batch_seconds", "visibility_seconds"), [(60, 90), (20, 90), (200, 300)])
def test_a_longer_time_for_a_batch_needs_no_second_setting(batch_seconds: float, visibility_seconds: float) -> None:
    conf = make_application(WorkerSettings(batch_seconds=batch_seconds), BROKER).conf

    assert conf.broker_transport_options["visibility_timeout"] == visibility_seconds


def test_the_names_on_the_wire_stay() -> None:
    """A worker of one version must understand the messages of another."""
    assert (QUEUE, CLASSIFY, KEY_PREFIX) == ("smearcount", "smearcount.classify", "smearcount:")
