"""Hosts made of namespaces behave as computers on a network do, and vanish with the tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from support.network.hosts import Host, Network, why_unavailable
from support.waiting import PATIENCE, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))]

_PORT = 7000

_ECHO = """
import socket, sys
listener = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    connection, _ = listener.accept()
    while said := connection.recv(65536):
        connection.sendall(said)
"""

#: Sends each word over one connection, and prints the answer or, after a timeout, the error.
_ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=300) as connection:
    for line in sys.stdin:
        word, seconds = line.split()
        connection.settimeout(float(seconds))
        try:
            connection.sendall(word.encode())
            print(connection.recv(100).decode() or "ended", flush=True)
        except OSError as error:
            print(type(error).__name__, flush=True)
"""

_DIES = """
import os, subprocess, sys
from support.network.hosts import Network
network = Network().__enter__()
host = network.host("one")
print(host.address, subprocess.Popen(host.command(["sleep", "300"])).pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a process with pipes, and kill it at the end of the context."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def echoing(host: Host) -> Iterator[None]:
    """Run an echo server on the host."""
    with running(host.command([sys.executable, "-c", _ECHO, str(_PORT)])) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield


def answer(asking: subprocess.Popen[str], word: str, seconds: float = PATIENCE) -> str:
    assert asking.stdin is not None
    assert asking.stdout is not None
    asking.stdin.write(f"{word} {seconds}\n")
    asking.stdin.flush()
    return asking.stdout.readline().strip()


def test_a_host_cut_off_hears_nothing_and_goes_on_after_it_rejoined(network: Network) -> None:
    one, two = network.host("one"), network.host("two")
    with echoing(one), running(two.command([sys.executable, "-c", _ASK, one.address, str(_PORT)])) as asking:
        assert answer(asking, "before") == "before"
        one.cut_off()
        assert answer(asking, "meanwhile", seconds=1) == "TimeoutError"
        one.rejoin()
        assert answer(asking, "after").startswith("meanwhile")  # TCP also delivers what was sent meanwhile


def test_tests_reach_a_host_and_a_host_reaches_nothing_else(network: Network) -> None:
    one = network.host("one")
    with echoing(one), socket.create_connection((one.address, _PORT), timeout=PATIENCE) as connection:
        connection.sendall(b"word")
        assert connection.recv(100) == b"word"
    routes = subprocess.run(one.command(["ip", "route"]), capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in routes.splitlines()] == [one.address.rpartition(".")[0] + ".0/24"]


def test_what_is_mounted_on_a_host_is_seen_there_alone(network: Network, tmp_path: Path) -> None:
    one, two = network.host("one"), network.host("two")
    share, at = tmp_path / "share", tmp_path / "at"
    share.mkdir()
    (share / "file").touch()

    one.mount(share, at)
    assert [files(host, at) for host in (one, two)] == ["file\n", ""]
    assert list(at.iterdir()) == []
    one.unmount(at)
    assert files(one, at) == ""


def files(host: Host, folder: Path) -> str:
    return subprocess.run(host.command(["ls", str(folder)]), capture_output=True, text=True, check=True).stdout


def test_a_command_is_the_process_itself_under_its_hosts_name(network: Network) -> None:
    host = network.host("helper-1")
    with running(host.command([sys.executable, "-c", "import os; print(os.uname().nodename, os.getpid())"])) as process:
        assert process.stdout is not None
        assert process.stdout.read().split() == ["helper-1", str(process.pid)]


def test_a_slow_host_takes_its_time(network: Network) -> None:
    one = network.host("one")
    with echoing(one), socket.create_connection((one.address, _PORT), timeout=PATIENCE) as connection:
        one.slow_down(kilobits=800)
        slowly = seconds_for(connection, 65536)
        one.speed_up()
        quickly = seconds_for(connection, 65536)
    assert slowly > 0.4
    assert quickly < slowly


def seconds_for(connection: socket.socket, size: int) -> float:
    started_at = time.monotonic()
    connection.sendall(bytes(size))
    while size:
        size -= len(connection.recv(size))
    return time.monotonic() - started_at


def test_nothing_outlives_the_tests() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _DIES]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address, pid = process.stdout.readline().split()
        network = address.rpartition(".")[0]
        assert has_address_in(network)
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(int(pid)), what="the command's end")
        wait_until(lambda: not has_address_in(network), what="the network's end")


def has_address_in(network: str) -> bool:
    return any(one.address.startswith(f"{network}.") for found in psutil.net_if_addrs().values() for one in found)
