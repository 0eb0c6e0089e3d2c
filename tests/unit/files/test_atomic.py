"""A file is replaced whole or not at all, wherever the writing is cut off."""

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smearcount.files.atomic import replace_file, replacing_file
from smearcount.inbox.ignoring import Ignoring

OLD, NEW = b"old content", b"the new content, which is longer"


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual umask, whatever the tests were started with."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the old content."""
    file = tmp_path / "file.json"
    file.write_bytes(OLD)
    return file


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("content", [b"", NEW, bytes(range(256)) * 4096])
def test_a_file_is_replaced(path: Path, content: bytes, *, durable: bool) -> None:
    replace_file(path, content, durable=durable)
    assert path.read_bytes() == content
    assert names(path.parent) == ["file.json"]


def test_a_new_file_is_written(tmp_path: Path) -> None:
    replace_file(tmp_path / "new", NEW)
    assert (tmp_path / "new").read_bytes() == NEW


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("private", [False, True])
def test_a_private_file_is_never_readable_for_others(path: Path, *, private: bool) -> None:
    path.chmod(0o644)
    with replacing_file(path, private=private) as temporary:
        assert mode(temporary) == (0o600 if private else 0o644)
        temporary.write_bytes(NEW)
    assert mode(path) == (0o600 if private else 0o644)


def test_the_old_file_stays_until_the_context_ends(path: Path) -> None:
    with replacing_file(path) as temporary:
        for start in range(0, len(NEW), 10):
            with temporary.open("ab") as file:
                file.write(NEW[start : start + 10])
            assert path.read_bytes() == OLD
    assert path.read_bytes() == NEW


@pytest.mark.parametrize("failure", [ValueError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_the_old_file_and_nothing_else(path: Path, failure: type[BaseException]) -> None:
    def write() -> None:
        with replacing_file(path) as temporary:
            temporary.write_bytes(NEW)
            raise failure

    with pytest.raises(failure):
        write()
    assert path.read_bytes() == OLD
    assert names(path.parent) == ["file.json"]


def fail(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("step", ["os.open", "os.fsync", "pathlib.Path.write_bytes", "pathlib.Path.replace"])
def test_a_step_that_fails_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(step, fail)
        with pytest.raises(OSError, match="Input/output error"):
            replace_file(path, NEW, durable=True)
    assert path.read_bytes() == OLD
    assert names(path.parent) == ["file.json"]


def test_a_durable_file_is_synced_before_it_is_renamed_and_its_folder_after(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        steps.append("folder synced" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file synced")
        fsync(descriptor)

    def recorded_replace(self: Path, target: Path) -> Path:
        steps.append("renamed")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    replace_file(path, NEW, durable=True)
    assert steps == ["file synced", "renamed", "folder synced"]
    steps.clear()
    replace_file(path, NEW)
    assert steps == ["renamed"]


def answering(code: int) -> Callable[[int], None]:
    """Return an fsync that refuses folders with this error."""
    fsync = os.fsync

    def refusing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    return refusing


def test_a_file_system_that_cannot_sync_folders_is_no_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", answering(errno.EINVAL))
    replace_file(path, NEW, durable=True)
    assert path.read_bytes() == NEW


def test_a_folder_that_does_not_reach_the_disk_is_a_failure(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", answering(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        replace_file(path, NEW, durable=True)
    assert names(path.parent) == ["file.json"]


def test_two_writers_do_not_meet(path: Path) -> None:
    with replacing_file(path) as one, replacing_file(path) as other:
        assert one != other
        one.write_bytes(b"one")
        other.write_bytes(b"other")
    assert path.read_bytes() == b"one", "the inner context ends first, so the outer one has the last word"
    assert names(path.parent) == ["file.json"]


def test_readers_and_writers_at_the_same_time(path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(4)]
    path.write_bytes(contents[0])

    def write(content: bytes) -> None:
        for _ in range(50):
            replace_file(path, content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_bytes() in contents
    for writer in writers:
        writer.join()
    assert names(path.parent) == ["file.json"]


def test_the_temporary_file_is_one_that_watchers_ignore(path: Path) -> None:
    with replacing_file(path) as temporary:
        assert Ignoring().ignores(temporary.name)
        assert temporary.parent == path.parent


@pytest.mark.parametrize("name", ["n" * 255, "ß" * 127, "🩸" * 63])
def test_the_longest_names_are_no_obstacle(tmp_path: Path, name: str) -> None:
    replace_file(tmp_path / name, NEW)
    assert names(tmp_path) == [name]


def test_a_leftover_of_a_power_cut_is_no_obstacle(path: Path) -> None:
    (path.parent / ".file.json.0123456789abcdef.part").write_bytes(b"half")
    replace_file(path, NEW)
    assert path.read_bytes() == NEW


def test_a_missing_folder_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "missing" / "file", NEW)


def test_a_folder_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        replace_file(tmp_path / "folder", NEW)
    assert names(tmp_path) == ["folder"]
