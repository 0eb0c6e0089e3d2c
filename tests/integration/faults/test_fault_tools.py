"""The tools of the fault campaign work: otherwise runs would pass although their faults never happened."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from faults import clock
from faults.backends import Postgresql
from faults.clock import Clock
from faults.proxy import Proxy
from support.servers import PostgresqlServer
from support.waiting import PATIENCE

pytestmark = pytest.mark.slow

_NEEDS_CLOCKS = pytest.mark.skipif(clock.why_unavailable() is not None, reason=str(clock.why_unavailable()))

_TELLS_TIME = """
import sys, time
for _ in sys.stdin:
    before = time.monotonic()
    time.sleep(0.1)
    print(time.time(), time.monotonic() - before, flush=True)
"""


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """Yield the address of a server that sends back what it is sent."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the test is over
            threading.Thread(target=_echo, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1000):
                connection.sendall(data)
        except ConnectionResetError:
            return


@pytest.fixture
def proxy(echo: tuple[str, int]) -> Iterator[Proxy]:
    """Yield a proxy before that server."""
    made = Proxy(echo, seed=1)
    yield made
    made.close()


@_NEEDS_CLOCKS
def test_a_clock_steps_while_a_program_runs_and_its_spans_stay_right(tmp_path: Path) -> None:
    own = Clock(tmp_path / "clock")
    with subprocess.Popen(
        [sys.executable, "-c", _TELLS_TIME],
        env=own.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for seconds in (0, 3600, -3600):
            own.step(seconds)
            program.stdin.write("now\n")
            program.stdin.flush()
            told, span = map(float, program.stdout.readline().split())
            assert told - time.time() == pytest.approx(seconds, abs=2)
            assert span == pytest.approx(0.1, abs=1)
        program.stdin.close()


@_NEEDS_CLOCKS
def test_postgresql_goes_by_its_clock(own_postgresql: PostgresqlServer) -> None:
    own_postgresql.remove()  # skips the test if PostgreSQL is missing
    server = Postgresql()
    try:
        own = Clock(server.folder / "clock")
        server.environment = own.environment
        server.start()
        with psycopg.connect(server.url(), autocommit=True) as connection:
            for seconds in (3600, -3600, 0):
                own.step(seconds)
                row = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float").fetchone()
                assert row is not None
                assert row[0] - time.time() == pytest.approx(seconds, abs=2)
    finally:
        server.remove()


def test_a_proxy_resets_what_is_connected_and_takes_new_connections(proxy: Proxy) -> None:
    with socket.create_connection((proxy.address, proxy.port), timeout=PATIENCE) as connection:
        connection.sendall(b"one")
        assert connection.recv(100) == b"one"
        assert proxy.reset() == 1
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with socket.create_connection((proxy.address, proxy.port), timeout=PATIENCE) as connection:
        connection.sendall(b"two")
        assert connection.recv(100) == b"two"


def test_a_proxy_holds_answers_back(proxy: Proxy) -> None:
    with socket.create_connection((proxy.address, proxy.port), timeout=PATIENCE) as connection:
        proxy.slow_down(0.3, 0.4)
        began_at = time.monotonic()
        connection.sendall(b"one")
        assert connection.recv(100) == b"one"
        assert time.monotonic() - began_at >= 0.3
        proxy.speed_up()
        connection.sendall(b"two")
        assert connection.recv(100) == b"two"


def test_killing_postgresql_leaves_nothing_of_it_and_its_data_stay(own_postgresql: PostgresqlServer) -> None:
    own_postgresql.remove()
    server = Postgresql()
    try:
        server.start()
        url = server.create("kept")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
            processes = server.processes()
            assert len(processes) > 1
            server.kill()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        assert not any(process.is_running() and process.status() != "zombie" for process in processes)
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        server.remove()
