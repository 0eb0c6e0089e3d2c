"""What `up` starts again, how often, and what ends it: with real processes that run small scripts."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smearcount.cli.errors import CommandError
from smearcount.cli.local import supervision
from smearcount.cli.local.broker import EmbeddedBroker
from smearcount.cli.local.readiness import ReadyPipe, report_ready
from smearcount.cli.local.supervision import Broker, Child, Supervisor, last_error

from support.waiting import wait_until

#: The beginning of a script: `ready()` reports as `report_ready` does, without a second of imports.
_READY = """
import os, sys, time
def ready():
    os.write(int(os.environ["SMEARCOUNT_READY"]), b"+")
"""


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def child(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Child]]:
    """Yield a function that makes a child which runs a script in place of a command, and end all children."""
    monkeypatch.setattr(supervision, "_PROGRAM", (sys.executable, "-I", "-S", "-c"))
    made: list[Child] = []

    def make(script: str) -> Child:
        made.append(Child("worker", [_READY + script], {}, tmp_path / "logs" / "worker.log", clock))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def next_message(member: Child | Broker) -> str:
    """Return the next message of a part."""
    found: list[str] = []

    def has_spoken() -> bool:
        message = member.keep_alive()
        found.extend([message] if message else [])
        return bool(found)

    wait_until(has_spoken, what="a message")
    return found[0]


def test_what_had_run_is_started_again_for_ever_with_growing_pauses(
    child: Callable[[str], Child], clock: Clock
) -> None:
    one = child("ready(); sys.exit('error: the disk is full')")
    one.start()

    assert next_message(one) == ("the worker died (code 1: the disk is full) and was started again; nothing is lost")
    for pause in (1, 2, 4, 8, 16, 32, 60, 60, 60):
        message = next_message(one)
        assert message == (
            f"the worker died (code 1: the disk is full) and is started again in {pause} s; nothing is lost"
        )
        assert one.keep_alive() is None, "it waits"
        assert one.pid is None
        clock.now += pause


def test_a_command_reports_through_the_pipe_and_does_nothing_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    report_ready()
    pipe = ReadyPipe()
    try:
        assert not pipe.has_report()
        monkeypatch.setenv("SMEARCOUNT_READY", str(pipe.writing))
        report_ready()
        assert pipe.has_report()
    finally:
        pipe.close()
    report_ready()  # the pipe is closed by now


def test_what_has_never_run_ends_with_its_own_message(child: Callable[[str], Child]) -> None:
    one = child("sys.exit('error: another watcher has the inbox')")
    one.start()

    with pytest.raises(CommandError, match=r"^another watcher has the inbox$"):
        next_message(one)


def test_a_message_of_an_earlier_start_is_not_taken_for_one_of_this(child: Callable[[str], Child]) -> None:
    one = child("sys.exit(1)")
    one.log.write_text("error: what was wrong yesterday\n")
    one.start()

    with pytest.raises(CommandError, match="the worker ended with code 1; its log is"):
        next_message(one)


def test_what_is_killed_before_it_runs_is_tried_five_times(child: Callable[[str], Child], clock: Clock) -> None:
    one = child("os.kill(os.getpid(), 9)")
    one.start()

    for _ in range(4):
        assert "signal SIGKILL" in next_message(one)
        clock.now += 60
        one.keep_alive()
    with pytest.raises(CommandError, match="died 5 times before it ran"):
        next_message(one)


def test_what_cannot_be_started_again_just_now_is_started_later(child: Callable[[str], Child], clock: Clock) -> None:
    one = child("ready(); time.sleep(600)")
    one.start()
    pid = one.pid
    assert pid is not None
    wait_until(lambda: one.keep_alive() is None and one._has_run, what="its report")
    logs = one.log.parent
    one.log.unlink()
    logs.rmdir()
    os.kill(pid, signal.SIGKILL)

    assert "cannot be started just now (No such file or directory); next try in 1 s" in next_message(one)

    logs.mkdir()
    clock.now += 1
    assert one.keep_alive() is None
    assert one.pid not in {None, pid}


def test_no_file_stays_open_however_often_it_dies(child: Callable[[str], Child], clock: Clock) -> None:
    one = child("ready(); sys.exit(3)")
    one.start()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        next_message(one)
        clock.now += 60
        one.keep_alive()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_broker_that_cannot_be_started_again_just_now_is_started_later(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(tmp_path / "broker", tmp_path / "broker.log", clock)
    broker.start()
    try:
        server: EmbeddedBroker = broker._server
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        with monkeypatch.context() as patched:
            patched.setattr("smearcount.cli.local.broker._server_program", lambda: Path("/bin/false"))
            assert "the broker cannot be started just now" in next_message(broker)
            for _ in range(3):
                assert broker.keep_alive() is None
                clock.now += 60
                assert "cannot be started just now" in next_message(broker)
        assert len(list((tmp_path / "broker").glob("damaged-*"))) == 1, "the disk does not fill up with them"
        clock.now += 60
        assert next_message(broker) == "the broker runs again; nothing is lost"
        assert server.is_running()
    finally:
        broker.stop()


def test_any_part_with_these_three_methods_is_supervised() -> None:
    calls: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        def start(self) -> None:
            calls.append(f"start {self.name}")

        def keep_alive(self) -> str | None:
            return f"{self.name} was started again"

        def stop(self) -> None:
            calls.append(f"stop {self.name}")

    supervisor = Supervisor(Part("one"), Part("two"))
    supervisor.start()
    assert supervisor.keep_alive() == ["one was started again", "two was started again"]
    supervisor.stop()
    assert calls == ["start one", "start two", "stop two", "stop one"]


def test_the_last_error_is_found_at_the_end_of_a_large_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("error: early\n" + "line\n" * 100_000 + "error: late\n")
    assert last_error(log) == "late"
    assert last_error(log, after=log.stat().st_size) is None
    assert last_error(log, after=log.stat().st_size + 1) == "late", "it was rotated"
    assert last_error(tmp_path / "none") is None
