"""The most memory that a process ever had, as Linux counts it."""

from pathlib import Path


def peak_bytes(pid: int | str = "self") -> int:
    """Return the most memory that a process has had in use since its program was started.

    What `getrusage` tells will not do: a process begins there with the peak of the one that started it.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
