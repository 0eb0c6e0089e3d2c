"""Writing files that others may read at any moment."""

from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file whole, so that nobody reads half of it, and an interruption leaves the old one."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
