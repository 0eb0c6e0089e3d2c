"""Connections that send nothing, or a byte now and then, keep nobody out; and what is logged of them fills no disk."""

import logging
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
import uvicorn

from smearcount.cli import logs
from smearcount.cli.logs import FewRepetitions, cut_logs
from smearcount.web.server import connections
from smearcount.web.server.connections import Connections, protocol_of, use_all_descriptors

from support.serving import Lab
from support.waiting import PATIENCE, wait_until

HEADER = b"POST /api/v1/reviews HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"


@contextmanager
def served(lab: Lab, *, most: int) -> Iterator[tuple[tuple[str, int], Connections]]:
    """Serve the application as the command does, with so many connections; yields its address."""
    counted = Connections(most)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        lab.application(), http=protocol_of(counted), log_config=None, access_log=False, proxy_headers=False, backlog=64
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_until(lambda: server.started, what="the web server")
        yield listener.getsockname()[:2], counted
    finally:
        server.should_exit = True
        thread.join()


def is_closed(one: socket.socket) -> bool:
    one.settimeout(PATIENCE)
    try:
        while one.recv(4096):
            pass
    except ConnectionError:
        return True
    return True


def is_end(one: socket.socket, byte: int) -> bool:
    """Send a byte and say whether the connection has been closed."""
    try:
        one.send(bytes([byte]))
        return not one.recv(1)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def asks(address: tuple[str, int]) -> int:
    return httpx2.get(f"http://127.0.0.1:{address[1]}/healthz", timeout=PATIENCE).status_code


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /heal",
        HEADER,
        HEADER + b"Content-Length: 100\r\n\r\n{",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /",
    ],
    ids=["nothing", "half a line", "half a header", "half a body", "half of a second request"],
)
def test_what_is_half_sent_is_closed_in_time(lab: Lab, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """Three hundred half-sent requests were never closed."""
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.3)
    with served(lab, most=10) as (address, counted), socket.create_connection(address) as slow:
        slow.sendall(sent)
        assert is_closed(slow)
        wait_until(lambda: counted.open == 0, what="the end of the connection")
        assert not counted.waiting
        assert asks(address) == 200


def test_a_byte_now_and_then_does_not_move_the_deadline(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.5)
    with served(lab, most=10) as (address, _), socket.create_connection(address) as slow:
        slow.settimeout(0.05)
        assert any(is_end(slow, byte) for byte in HEADER * 1000)


def test_many_that_send_nothing_keep_nobody_out(lab: Lab) -> None:
    with served(lab, most=20) as (address, counted), ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(address)) for _ in range(100)]
        for one in slow:
            with suppress(ConnectionError):  # it is closed already
                one.sendall(b"GET / HTTP/1.1\r\n")
        assert [asks(address) for _ in range(5)] == [200] * 5
        assert counted.open <= 20
        assert is_closed(slow[0]), "the one that has waited longest goes first"


def test_a_request_that_is_being_answered_is_not_closed_for_others(lab: Lab) -> None:
    with served(lab, most=4) as (address, counted), ExitStack() as stack:
        with httpx2.stream("GET", f"http://127.0.0.1:{address[1]}/api/v1/changes", timeout=PATIENCE) as stream:
            lines = stream.iter_lines()
            next(lines)
            for _ in range(30):
                stack.enter_context(socket.create_connection(address))
            assert asks(address) == 200
            lab.add_slide("S-1")
            assert any("[1]" in line for line in lines), "the stream goes on"
        assert counted.open <= 4


def test_all_descriptors_are_used_and_some_kept_free() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, before[1]), before[1]))
        most = use_all_descriptors()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert soft == hard
        assert 16 <= most <= 1000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_same_warning_does_not_fill_the_log() -> None:
    now = [0.0]
    few = FewRepetitions(lambda: now[0])

    def passes(message: str, level: int = logging.ERROR) -> tuple[bool, str]:
        record = logging.LogRecord("asyncio", level, "f", 1, message, (), None)
        return few.filter(record), record.getMessage()

    assert sum(passes("socket.accept() out of system resource")[0] for _ in range(10_000)) == 30
    assert passes("another") == (True, "another")
    assert sum(passes("batch stored", logging.INFO)[0] for _ in range(1_000)) == 1_000
    now[0] = 60.0
    assert passes("socket.accept() out of system resource") == (
        True,
        "socket.accept() out of system resource (9970 more in the meantime)",
    )


def test_logs_are_set_aside_while_their_processes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LARGEST_LOG", 1_000)
    path = tmp_path / "web.log"
    with path.open("ab", buffering=0) as written:
        for number in range(200):
            written.write(b"%06d line\n" % number)
            cut_logs(tmp_path)
        assert path.stat().st_size <= 1_100
        previous = tmp_path / "web.previous.log"
        assert previous.stat().st_size <= 1_100
        lines = (previous.read_bytes() + path.read_bytes()).splitlines()
        assert lines[-1] == b"000199 line"
        assert lines == [b"%06d line" % number for number in range(200 - len(lines), 200)]
