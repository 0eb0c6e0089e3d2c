"""PostgreSQL and Valkey over TCP, as a laboratory runs them for several hosts; faults kill, freeze and fill them."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from faults.waiting import until
from support.network.hosts import Host
from support.servers import PostgresqlServer, ValkeyServer, free_port


class Disk:
    """A small disk in memory, mounted at a folder of a host, that can be filled to the last byte."""

    def __init__(self, host: Host, folder: Path, *, megabytes: int) -> None:
        """Mount it over the folder, on this host alone."""
        self._host = host
        self._ballast = folder / "ballast"
        self._run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))

    def fill(self) -> None:
        """Fill it up."""
        words = ["dd", "if=/dev/zero", f"of={self._ballast}", "bs=4k", "status=none"]
        done = subprocess.run(self._host.command(words), check=False, capture_output=True, text=True)
        assert "No space left" in done.stderr, done.stderr

    def free(self) -> None:
        """Free the space again."""
        self._run("rm", "--force", str(self._ballast))

    def take_over(self, folder: Path) -> None:
        """Copy the content of a folder onto it, and keep all owners, the folder's own included."""
        self._run("cp", "--archive", f"{folder}/.", str(self._ballast.parent))

    def _run(self, *words: str) -> None:
        subprocess.run(self._host.command(words), check=True)


class Postgresql(PostgresqlServer):
    """A PostgreSQL server reachable over TCP, whose commits survive a crash as in real use."""

    def __init__(self, host: Host | None = None) -> None:
        """Make an empty data folder; nothing runs yet."""
        self.port = free_port()
        super().__init__(port=self.port, host=host, is_durable=True)
        self.address = self._address
        #: Variables that are added to its environment from the next start on.
        self.environment: Mapping[str, str] = {}

    def start(self) -> None:
        """Start it and wait until it answers."""
        with _environment(self.environment):
            super().start()

    def is_running(self) -> bool:
        """Whether its first process lives."""
        return self._process is not None and self._process.poll() is None

    def answers(self) -> bool:
        """Whether it takes connections."""
        return self._answers()

    def processes(self) -> list[psutil.Process]:
        """All its processes."""
        return family(self._process)

    def kill(self) -> None:
        """End all its processes by SIGKILL, at once."""
        kill(self.processes())
        if self._process is not None:
            self._process.wait()
            self._process = None

    def move_to_disk(self, *, megabytes: int) -> Disk:
        """Move the data of a stopped server to a disk of its own."""
        assert self._host is not None
        kept = self._data.rename(self.folder / "before")
        self._data.mkdir()
        disk = Disk(self._host, self._data, megabytes=megabytes)
        disk.take_over(kept)
        shutil.rmtree(kept)
        return disk


class Valkey(ValkeyServer):
    """A Valkey server reachable over TCP."""

    def __init__(self, folder: Path, host: Host | None = None) -> None:
        """Prepare to keep its data in `folder`; nothing runs yet."""
        folder.mkdir()
        self._host = host
        self.folder = folder
        self.port = free_port()
        self.address = "127.0.0.1" if host is None else host.address
        super().__init__(folder, self.port, host=host)

    def processes(self) -> list[psutil.Process]:
        """All its processes."""
        return family(self._process)

    def kill(self) -> None:
        """End it by SIGKILL."""
        kill(self.processes())
        if self._process is not None:
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Delete the data of a stopped server."""
        words = ["rm", "--recursive", str(self.folder / "appendonlydir")]
        # Only its host sees a disk of its own.
        subprocess.run(words if self._host is None else self._host.command(words), check=True)


@contextmanager
def frozen(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """Stop processes by SIGSTOP for as long as the context lasts."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):  # a child of PostgreSQL that has just ended
            process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # its parent has ended it meanwhile because it hung
                process.resume()


def family(process: subprocess.Popen[bytes] | None) -> list[psutil.Process]:
    """Return a process and its descendants that are alive."""
    if process is None:
        return []
    try:
        first = psutil.Process(process.pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(processes: Sequence[psutil.Process]) -> None:
    """End processes by SIGKILL, and wait until nothing of them runs."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    until(lambda: not any(map(_is_alive, processes)), 300, what="killed processes to be gone")


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
