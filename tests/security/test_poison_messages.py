"""Anybody who reaches the broker can put anything into the queue: workers discard it and go on, and their logs stay theirs."""

import json
import logging

import pytest
import redis

from smearcount.cli.logs import JsonLines, PlainLines
from smearcount.db.records import Batch
from smearcount.worker.application import KEY_PREFIX, QUEUE, make_application
from smearcount.worker.queue import BatchQueue
from smearcount.worker.settings import WorkerSettings

GOOD = {"body": "W10=", "content-encoding": "utf-8", "content-type": "application/json", "headers": {},
        "properties": {
            "delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": QUEUE}, "body_encoding": "base64",
        }}  # fmt: skip

POISON = {
    "no JSON": b"\xff\xfe not json",
    "a number": b"7",
    "a list": b"[]",
    "null": b"null",
    "nested": b"[" * 100_000 + b"]" * 100_000,
    "nothing in it": b"{}",
    "no tag": json.dumps({**GOOD, "properties": {}}).encode(),
    "no task": json.dumps(GOOD).encode(),
    "pickle": json.dumps({**GOOD, "content-type": "application/x-python-serialize"}).encode(),
    "another task": json.dumps({**GOOD, "headers": {"task": "os.system", "id": "1"}}).encode(),
    "no id": json.dumps({**GOOD, "headers": {"task": "smearcount.classify"}}).encode(),
    "headers are text": json.dumps({**GOOD, "headers": "task"}).encode(),
    "unknown compression": json.dumps(
        {**GOOD, "headers": {"compression": "x", "task": "smearcount.classify"}}
    ).encode(),
    "no base64": json.dumps({**GOOD, "body": "*"}).encode(),
}


def test_a_channel_discards_what_it_cannot_read_and_delivers_the_next(
    broker_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Kombu's own channel raises, and Celery ends at it; a worker that is started again meets the next one."""
    queue = BatchQueue(WorkerSettings(), broker_url)
    queue.send(Batch(1, (1,)))  # makes the queue
    with redis.Redis.from_url(_plain(broker_url)) as client:
        client.delete(f"{KEY_PREFIX}{QUEUE}")
        for content in POISON.values():
            client.lpush(f"{KEY_PREFIX}{QUEUE}", content)
        client.hset(f"{KEY_PREFIX}unacked", "evil", b"no json")
        client.zadd(f"{KEY_PREFIX}unacked_index", {"evil": 1})
    queue.send(Batch(1, (7,)))

    got: list[object] = []

    def understand(message: object) -> None:
        headers = message.headers  # type: ignore[attr-defined]
        if headers["task"] != "smearcount.classify":
            raise KeyError(headers["task"])
        got.append(message.payload[0][0])  # type: ignore[attr-defined]
        assert headers["id"]
        message.ack()  # type: ignore[attr-defined]

    application = make_application(WorkerSettings(), broker_url)
    with application.connection_for_read() as connection:
        channel = connection.default_channel
        channel.basic_consume(QUEUE, False, understand, "tag")  # noqa: FBT003 (kombu's signature)
        channel.qos.restore_visible(num=10)
        for _ in range(40):
            if got == [[7]]:
                break
            connection.drain_events(timeout=20)
        assert got == [[7]]
        assert channel.client.hlen("unacked") == 0
    application.close()
    queue.close()
    lines = [record.getMessage() for record in caplog.records if "discarded" in record.getMessage()]
    assert len(lines) >= len(POISON) // 2
    assert not any("os.system" in line for line in lines)


def _plain(url: str) -> str:
    return url.replace("redis+socket://", "unix://")


FORGED = "7f\n2026-01-01 00:00:00,000 INFO smearcount.worker batch stored\r\x1b[2J\u2028\u202e\x85\x7f"


@pytest.mark.parametrize("form", [PlainLines(), JsonLines()])
def test_no_value_makes_a_line_of_its_own_or_steers_a_terminal(form: logging.Formatter) -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, "batch %s begun", (FORGED,), None)
    record.trace = FORGED
    line = form.format(record)
    assert line.isprintable()
    assert "batch stored" in line


@pytest.mark.parametrize("form", [PlainLines(), JsonLines()])
def test_the_message_of_an_error_makes_no_line_of_the_log(form: logging.Formatter) -> None:
    error = ValueError(FORGED)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed", (), (ValueError, error, None))
    first, *others = form.format(record).split("\n")
    assert first.isprintable()
    assert all(line.startswith("    ") and line.isprintable() for line in others)
