"""Starting processes of our own that neither outlive us nor get the Ctrl-C meant for us."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def start(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output added to the file `log`.

    A terminal's Ctrl-C goes to every process of its session at once: the broker would be gone before the workers have
    said goodbye. Here the parent ends its children one after the other. Should the parent be killed without a chance to
    do so, the kernel ends them (on Linux).
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509 (it takes no lock that another thread could hold)
        )


def stop(process: subprocess.Popen[bytes], *, seconds: float) -> bool:
    """Ask a process to end and wait for it; end it by force after `seconds`. Return whether it went by itself."""
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


# Looked up before any fork: between fork and exec nothing may be imported or allocated that another thread holds.
_PRCTL = _prctl()


def _end_with_parent() -> None:
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)
