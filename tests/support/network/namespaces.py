"""Namespaces for network, mounts and host name, owned by a process that ends with the tests.

That process runs this very file, alone, so the file imports nothing of this project.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

#: How long processes in the namespaces may take to end after SIGTERM, in seconds.
_END_SECONDS = 2.0


class HostsUnavailable(Exception):
    """This machine cannot make hosts; the message says why."""


class Namespaces:
    """Namespaces for network, mounts and host name, owned by a child process that ends with this one."""

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # so that a Ctrl-C reaches only the tests, which end it in their own order
        )
        self.pid = self._keeper.pid
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != b"made\n":
            self.end()
            raise HostsUnavailable("namespaces cannot be made; the error stands above")

    def command(self, words: Sequence[str], *, user: int | None = None) -> list[str]:
        """Return the words that run a command in the namespaces."""
        kinds = [
            f"--{kind}=/proc/{self.pid}/ns/{file}" for kind, file in (("net", "net"), ("mount", "mnt"), ("uts", "uts"))
        ]
        who = [] if user is None else [f"--setuid={user}", f"--setgid={user}"]
        return ["nsenter", *kinds, *who, f"--wdns={Path.cwd()}", *words]

    def run(self, *words: str) -> None:
        """Run a command in the namespaces."""
        run(*self.command(words))

    def end(self) -> None:
        """End everything that runs in the namespaces; the kernel then removes them."""
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.close()
        self._keeper.wait()
        self._keeper.stdout.close()


def run(*words: str) -> None:
    """Run a command on this machine.

    Raises:
        HostsUnavailable: The command fails; the message holds what it wrote.
    """
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise HostsUnavailable(f"{' '.join(words)}: {done.stderr.strip()}")


def _keep() -> None:
    """Keep the namespaces of this process until its parent closes the pipe or dies, then end everything in them."""
    sys.stdout.write("made\n")
    sys.stdout.flush()
    sys.stdin.read()
    told_at = time.monotonic()
    for pid in _others_within():
        _send(pid, signal.SIGTERM)
    while others := _others_within():
        if time.monotonic() - told_at > _END_SECONDS:
            for pid in others:
                _send(pid, signal.SIGKILL)
        time.sleep(0.01)


def _others_within() -> list[int]:
    own = Path("/proc/self/ns/net").readlink()
    within = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "ns" / "net").readlink() == own and int(folder.name) != os.getpid():
                within.append(int(folder.name))
        except OSError:
            continue  # ended just now
    return within


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    _keep()
