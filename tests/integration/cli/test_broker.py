"""The embedded broker, with the real server."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from smearcount.cli.local.broker import EmbeddedBroker, embedded_url
from smearcount.db.records import Batch
from smearcount.worker.errors import WorkerError
from smearcount.worker.queue import BatchQueue, QueueDepth
from smearcount.worker.settings import WorkerSettings

from support.waiting import wait_until
from support.working import kill_broker

BATCH = Batch(1, (1, 2, 3))

#: Starts a broker, says its process id, and again when Ctrl-C came.
_PARENT = """
import os, signal, sys, time
from pathlib import Path
from smearcount.cli.local.broker import EmbeddedBroker

signal.signal(signal.SIGINT, lambda *_: os.write(1, b"interrupted\\n"))
broker = EmbeddedBroker(Path(sys.argv[1]), Path(sys.argv[2]))
broker.start()
print(broker.pid, flush=True)
while True:
    time.sleep(60)
"""


@contextmanager
def _queue(broker: EmbeddedBroker) -> Iterator[BatchQueue]:
    queue = BatchQueue(WorkerSettings(), broker.url)
    try:
        yield queue
    finally:
        queue.close()


@contextmanager
def _parent_with_broker(broker: EmbeddedBroker) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Start a broker as the child of another process, in a process group of its own, as a terminal does."""
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(broker.folder), str(broker.log)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server = None
    try:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        yield parent, server
    finally:
        parent.kill()
        parent.communicate()
        if server is not None and server.is_running():
            server.kill()


def _waiting(broker: EmbeddedBroker) -> int:
    with _queue(broker) as queue:
        return queue.depth().waiting


def _send(broker: EmbeddedBroker) -> None:
    with _queue(broker) as queue:
        queue.send(BATCH)


def test_the_broker_answers_over_its_socket_and_over_no_port(own_broker: EmbeddedBroker) -> None:
    own_broker.start()

    assert own_broker.is_running()
    assert _waiting(own_broker) == 0
    assert psutil.Process(own_broker.pid).net_connections("inet") == []
    assert stat.S_IMODE(own_broker.socket.stat().st_mode) == 0o700


def test_the_broker_ends_by_itself_when_stopped(own_broker: EmbeddedBroker) -> None:
    own_broker.start()
    pid = own_broker.pid

    own_broker.stop()

    assert not own_broker.is_running()
    assert own_broker.pid is None
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_what_is_queued_survives_a_stop(own_broker: EmbeddedBroker) -> None:
    own_broker.start()
    _send(own_broker)
    own_broker.stop()

    own_broker.start()

    assert _waiting(own_broker) == 1


def test_what_is_queued_survives_the_brokers_sudden_death(own_broker: EmbeddedBroker) -> None:
    own_broker.start()
    _send(own_broker)
    kill_broker(own_broker)
    assert not own_broker.is_running()

    own_broker.start()

    assert _waiting(own_broker) == 1


def test_the_broker_dies_with_its_parent(own_broker: EmbeddedBroker) -> None:
    with _parent_with_broker(own_broker) as (parent, server):
        parent.send_signal(signal.SIGKILL)

        wait_until(lambda: not server.is_running(), what="the broker to follow its parent")


def test_ctrl_c_does_not_reach_the_broker(own_broker: EmbeddedBroker) -> None:
    with _parent_with_broker(own_broker) as (parent, server):
        os.killpg(parent.pid, signal.SIGINT)

        assert parent.stdout is not None
        assert parent.stdout.readline() == "interrupted\n"
        assert _waiting(own_broker) == 0
        assert server.is_running()


def test_a_server_left_over_by_an_earlier_run_is_ended_and_its_queue_kept(own_broker: EmbeddedBroker) -> None:
    earlier = EmbeddedBroker(own_broker.folder, own_broker.log)
    earlier.start()
    try:
        _send(earlier)

        own_broker.start()

        wait_until(lambda: not earlier.is_running(), what="the earlier server to end")
        assert own_broker.is_running()
        assert _waiting(own_broker) == 1
    finally:
        earlier.stop()


def test_starting_again_what_runs_leaves_one_server_and_the_queue(own_broker: EmbeddedBroker) -> None:
    own_broker.start()
    _send(own_broker)
    first = own_broker.pid

    own_broker.start()

    assert first is not None
    assert not psutil.pid_exists(first)
    assert _waiting(own_broker) == 1


def test_a_damaged_queue_file_is_set_aside(own_broker: EmbeddedBroker) -> None:
    own_broker.start()
    _send(own_broker)
    own_broker.stop()
    (incremental,) = (own_broker.folder / "appendonlydir").glob("*.incr.aof")
    written = bytearray(incremental.read_bytes())
    written[10:40] = b"\0" * 30
    incremental.write_bytes(written)

    own_broker.start()

    assert _waiting(own_broker) == 0
    (aside,) = own_broker.folder.glob("damaged-*")
    assert (aside / incremental.name).read_bytes() == written


def test_a_queue_file_cut_short_by_a_power_cut_is_still_used(own_broker: EmbeddedBroker) -> None:
    own_broker.start()
    _send(own_broker)
    _send(own_broker)
    own_broker.stop()
    (incremental,) = (own_broker.folder / "appendonlydir").glob("*.incr.aof")
    incremental.write_bytes(incremental.read_bytes()[:-7])

    own_broker.start()

    assert _waiting(own_broker) == 1
    assert not list(own_broker.folder.glob("damaged-*"))


@pytest.mark.parametrize("name", ["with space", "a%41b", "q?x#y;z", "ümläut", "a@b:c", "quo'te\"", "no-utf8-\udcff"])
def test_a_data_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    broker = EmbeddedBroker(tmp_path / name, tmp_path / "log")
    try:
        broker.start()
        _send(broker)

        assert _waiting(broker) == 1
    finally:
        broker.stop()


def test_a_data_folder_may_have_a_longer_path_than_a_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 200) / "broker"
    broker = EmbeddedBroker(folder, tmp_path / "log")
    try:
        broker.start()
        _send(broker)

        assert _waiting(broker) == 1
        assert embedded_url(folder) == broker.url
        assert stat.S_IMODE(broker.socket.parent.stat().st_mode) == 0o700
    finally:
        broker.stop()
    assert not broker.socket.parent.exists(), "left something in the folder for temporary files"


def test_two_long_paths_do_not_share_a_broker(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 200)

    assert embedded_url(long / "a") != embedded_url(long / "b")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user's")
def test_a_socket_is_not_put_where_another_user_could_replace_it(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / ("x" * 200), tmp_path / "log")
    broker.socket.parent.mkdir()
    try:
        os.chown(broker.socket.parent, 12345, -1)

        with pytest.raises(WorkerError, match="belongs to another user"):
            broker.start()
        assert not broker.is_running()
    finally:
        broker.stop()


def test_the_short_folder_lies_with_the_temporary_files(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / ("x" * 200), tmp_path / "log")

    assert broker.socket.parent.parent == Path(tempfile.gettempdir())
    assert len(os.fsencode(broker.socket)) <= 100


def test_a_server_that_does_not_start_is_reported_with_its_log(
    own_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smearcount.cli.local.broker._server_program", lambda: Path("/bin/false"))

    with pytest.raises(WorkerError, match=str(own_broker.log)):
        own_broker.start()

    assert not own_broker.is_running()


def test_an_empty_broker_has_an_empty_queue(own_broker: EmbeddedBroker) -> None:
    own_broker.start()

    with _queue(own_broker) as queue:
        assert queue.depth() == QueueDepth(waiting=0, held=0)
