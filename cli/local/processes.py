"""Child processes that end with their parent and do not receive the parent's Ctrl-C."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def start(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None, keep_open: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, and append its output to a file.

    A terminal sends Ctrl-C to every process of its session at once: the broker would end before the workers have
    finished. In a session of their own, the children are ended by the parent, one after the other. If the parent is
    killed before it can do so, the kernel ends them (on Linux).

    Args:
        command: The program and its arguments.
        log: The file for standard output and standard error.
        environment: The whole environment; None for this process's own.
        keep_open: Numbers of open files that the process inherits, beside those of its output.

    Raises:
        OSError: The process cannot be started, or the log cannot be opened.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            pass_fds=keep_open,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 (it needs no lock that another thread could hold)
        )


def stop(process: subprocess.Popen[bytes], *, seconds: float) -> bool:
    """Send SIGTERM to a process and wait; kill it after `seconds`. Return whether it ended without being killed."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def _prctl() -> Callable[[int, int], int] | None:
    if sys.platform != "linux":
        return None
    function = ctypes.CDLL(None, use_errno=True).prctl
    function.argtypes = [ctypes.c_int, ctypes.c_ulong]
    return function


# Looked up at import: between fork and exec, importing or allocating could wait for a lock that another thread holds.
_PRCTL = _prctl()


def _end_with_parent() -> None:
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
