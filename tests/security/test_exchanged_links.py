"""Files that are exchanged for links while they are read: nothing outside of the inbox is ever returned."""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from smearcount.inbox import beneath
from smearcount.inbox.reading import EXACT_TIME, UnexpectedFile, read_version
from smearcount.inbox.versions import FileVersion

_TRIES = 2_000
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def _exchange_for_ever(one: bytes, other: bytes) -> None:
    while True:
        _LIBC.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE)


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Let another process exchange two paths all the time."""
    if _LIBC.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        pytest.skip(f"paths cannot be exchanged here: {os.strerror(ctypes.get_errno())}")
    process = get_context("fork").Process(
        target=_exchange_for_ever, args=(os.fsencode(one), os.fsencode(other)), daemon=True
    )
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


@pytest.mark.skipif(not hasattr(_LIBC, "renameat2"), reason="Linux exchanges two paths in one step")
@pytest.mark.parametrize("has_openat2", [True, False], ids=["openat2", "part by part"])
@pytest.mark.parametrize("exchanged", ["S1", "S1/sub", "S1/sub/cell.jpg"])
def test_nothing_outside_is_read(
    tmp_path: Path, exchanged: str, has_openat2: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_openat2:
        monkeypatch.setattr(beneath, "_has_openat2", lambda: False)
    path = "S1/sub/cell.jpg"
    for where, content in (("inbox", b"inside"), ("outside", b"secret")):
        file = tmp_path / where / path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
        os.utime(file, ns=(10**18, 10**18))
    (tmp_path / "inbox" / "link").symlink_to(tmp_path / "outside" / exchanged)
    version = FileVersion(6, 10**18)
    read: list[bytes] = []
    with exchanging(tmp_path / "inbox" / exchanged, tmp_path / "inbox" / "link"):
        for _ in range(_TRIES):
            try:
                read.append(read_version(str(tmp_path / "inbox"), path, version, time_precision_ns=EXACT_TIME))
            except (UnexpectedFile, OSError):
                continue
    assert set(read) <= {b"inside"}


def test_the_kernels_way_is_used_and_refuses_links(tmp_path: Path) -> None:
    (tmp_path / "inbox" / "S1").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "inbox" / "out").symlink_to(tmp_path / "outside")
    root = str(tmp_path / "inbox")
    for open_folder in (beneath.open_folder, beneath._part_by_part):
        os.close(open_folder(root, "S1"))
        os.close(open_folder(root, "."))
        for path, number in (("out", errno.ELOOP), ("S2", errno.ENOENT)):
            with pytest.raises(OSError, match=r"\[Errno") as refused:
                open_folder(root, path)
            assert refused.value.errno == number
    if beneath._has_openat2():
        with pytest.raises(OSError, match=r"\[Errno"):
            beneath.open_folder(root, "../outside")
