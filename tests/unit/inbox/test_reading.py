"""Reading exactly one version of a file, whatever lies in its place."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from smearcount.inbox import reading
from smearcount.inbox.reading import (
    ANY_TIME,
    EXACT_TIME,
    LARGEST_FILE,
    SHARED_TIME_PRECISION_NS,
    LeavesInbox,
    NotAFile,
    OpenFolders,
    OtherVersion,
    TooLarge,
    UnexpectedFile,
    read_version,
)
from smearcount.inbox.versions import FileVersion

from support.waiting import PATIENCE

CONTENT = b"the bytes of an image"
PATH = "S1/cell.jpg"
TIME_NS = 1_700_000_000_123_456_789
VERSION = FileVersion(len(CONTENT), TIME_NS)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox with one file, `S1/cell.jpg`, of VERSION."""
    folder = tmp_path / "inbox"
    (folder / "S1").mkdir(parents=True)
    written(folder / PATH)
    return folder


def written(path: Path, content: bytes = CONTENT) -> Path:
    path.write_bytes(content)
    os.utime(path, ns=(0, TIME_NS))
    return path


def read(inbox: Path, path: str = PATH, version: FileVersion = VERSION, precision: int | None = EXACT_TIME) -> bytes:
    return read_version(str(inbox), path, version, time_precision_ns=precision)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(autouse=True)
def _leaves_nothing_open() -> Iterator[None]:
    before = open_descriptors()
    yield
    assert open_descriptors() == before


def test_the_version_asked_for_is_read_whole(inbox: Path) -> None:
    assert read(inbox) == CONTENT


def test_an_empty_file_is_read(inbox: Path) -> None:
    written(inbox / "S1" / "empty.jpg", b"")

    assert read(inbox, "S1/empty.jpg", FileVersion(0, TIME_NS)) == b""


@pytest.mark.parametrize("path", ["cell.jpg", "a/b/c/cell.jpg", "S1/li\nne.jpg", "S1/no-utf8-\udcff.jpg"])
def test_a_file_may_lie_anywhere_and_have_any_name(inbox: Path, path: str) -> None:
    (inbox / path).parent.mkdir(parents=True, exist_ok=True)
    written(inbox / path)

    assert read(inbox, path) == CONTENT


# Links


def test_an_inbox_that_is_a_link_is_read(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)

    assert read(tmp_path / "link") == CONTENT


@pytest.mark.parametrize("target", ["../S1/cell.jpg", "{inbox}/S1/cell.jpg", "other-link.jpg"])
def test_a_link_that_stays_within_the_inbox_is_followed(inbox: Path, target: str) -> None:
    (inbox / "S2").mkdir()
    (inbox / "S2" / "other-link.jpg").symlink_to("../S1/cell.jpg")
    (inbox / "S2" / "cell.jpg").symlink_to(target.format(inbox=inbox))
    (inbox / "S3").symlink_to("S2")

    assert read(inbox, "S2/cell.jpg") == CONTENT
    assert read(inbox, "S3/cell.jpg") == CONTENT


def test_a_link_at_the_end_that_leaves_the_inbox_is_not_followed(inbox: Path, tmp_path: Path) -> None:
    secret = written(tmp_path / "secret")
    (inbox / PATH).unlink()
    (inbox / PATH).symlink_to(secret)

    with pytest.raises(LeavesInbox):
        read(inbox)


def test_a_folder_link_that_leaves_the_inbox_is_not_followed(inbox: Path, tmp_path: Path) -> None:
    beside = tmp_path / "inbox-of-another"  # whose path begins like that of the inbox
    beside.mkdir()
    (inbox / "S1").rename(beside / "S1")
    (inbox / "S1").symlink_to(beside / "S1")

    with pytest.raises(LeavesInbox):
        read(inbox)


@pytest.mark.parametrize("path", ["../secret", "S1/../../secret", "S1/./../../secret", "/etc/passwd"])
def test_a_path_that_leaves_the_inbox_is_refused(inbox: Path, tmp_path: Path, path: str) -> None:
    written(tmp_path / "secret")

    with pytest.raises(LeavesInbox):
        read(inbox, path)


def test_a_link_put_in_the_place_of_a_folder_that_was_just_resolved_is_not_followed(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").mkdir()
    written(tmp_path / "outside" / "cell.jpg")
    resolved = reading._resolved

    def swap(root: str, path: str) -> tuple[str, str]:
        found = resolved(root, path)
        if not (inbox / "S1").is_symlink():
            (inbox / "S1").rename(tmp_path / "away")
            (inbox / "S1").symlink_to(tmp_path / "outside")
        return found

    monkeypatch.setattr(reading, "_resolved", swap)
    with pytest.raises(LeavesInbox):
        read(inbox)


def test_a_link_put_in_the_place_of_a_file_that_was_just_resolved_is_not_followed(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "secret")
    (inbox / "S1" / "link.jpg").symlink_to("cell.jpg")
    resolved = reading._resolved

    def swap(root: str, path: str) -> tuple[str, str]:
        found = resolved(root, path)
        if path.endswith("link.jpg"):
            (inbox / PATH).unlink()
            (inbox / PATH).symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(reading, "_resolved", swap)
    with pytest.raises(OSError, match="symbolic links"):
        read(inbox, "S1/link.jpg")


@pytest.mark.parametrize("circle", ["file", "folder"])
def test_links_in_a_circle_are_an_error_of_the_system(inbox: Path, circle: str) -> None:
    (inbox / PATH).unlink()
    if circle == "file":
        (inbox / PATH).symlink_to("cell.jpg")
    else:
        (inbox / "S1").rmdir()
        (inbox / "S1").symlink_to("S1")

    with pytest.raises(OSError, match="symbolic links"):
        read(inbox)


# What is no file


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("put", [put_pipe, Path.mkdir], ids=["pipe", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(inbox: Path, put: Callable[[Path], None]) -> None:
    (inbox / PATH).unlink()
    put(inbox / PATH)

    with pytest.raises(NotAFile):
        read(inbox, precision=ANY_TIME)


def test_a_socket_is_an_error_of_the_system(inbox: Path) -> None:
    (inbox / PATH).unlink()
    os.mknod(inbox / PATH, 0o140600)

    with pytest.raises(OSError, match="No such device"):
        read(inbox)


@pytest.mark.parametrize("missing", ["file", "folder", "inbox"])
def test_what_is_gone_is_an_error_of_the_system(inbox: Path, missing: str) -> None:
    {"file": inbox / PATH, "folder": inbox / "S1", "inbox": inbox}[missing].rename(inbox.with_name("away"))

    with pytest.raises(FileNotFoundError):
        read(inbox)


def test_a_file_in_the_place_of_a_folder_is_an_error_of_the_system(inbox: Path) -> None:
    (inbox / "S1").rename(inbox.with_name("away"))
    (inbox / "S1").write_bytes(b"")

    with pytest.raises(NotADirectoryError):
        read(inbox)


_READ_AS_OTHER_USER = """
import os, pickle, sys
from smearcount.inbox.reading import EXACT_TIME, read_version
os.setgid(12345), os.setuid(12345)
root, path, version = pickle.load(sys.stdin.buffer)
try:
    print(read_version(root, path, version, time_precision_ns=EXACT_TIME).decode())
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_rights_of_the_process_decide(inbox: Path, tmp_path: Path) -> None:
    def read_as_other_user() -> str:
        given = pickle.dumps((str(inbox), PATH, VERSION))
        command = [sys.executable, "-c", _READ_AS_OTHER_USER]
        return (
            subprocess.run(command, input=given, capture_output=True, check=True, timeout=PATIENCE)
            .stdout.decode()
            .strip()
        )

    above = {folder: folder.stat().st_mode & 0o7777 for folder in (tmp_path, *tmp_path.parents)}
    for folder, mode in above.items():
        folder.chmod(mode | 0o011)
    try:
        (inbox / "S1").chmod(0o711)  # to pass through and not to list
        assert read_as_other_user() == CONTENT.decode()
        (inbox / PATH).chmod(0)
        assert read_as_other_user() == "PermissionError"
        (inbox / PATH).chmod(0o644)
        (inbox / "S1").chmod(0)
        assert read_as_other_user() == "PermissionError"
    finally:
        (inbox / "S1").chmod(0o755)
        for folder, mode in above.items():
            folder.chmod(mode)


# Versions


@pytest.mark.parametrize("content", [CONTENT + b", grown", CONTENT[:-3], b""])
@pytest.mark.parametrize("precision", [EXACT_TIME, SHARED_TIME_PRECISION_NS, ANY_TIME])
def test_another_size_is_another_version(inbox: Path, content: bytes, precision: int | None) -> None:
    written(inbox / PATH, content)

    with pytest.raises(OtherVersion) as raised:
        read(inbox, precision=precision)
    assert raised.value.size == len(content)


@pytest.mark.parametrize(
    ("differs_ns", "precisions"),
    [
        (0, {EXACT_TIME, SHARED_TIME_PRECISION_NS, ANY_TIME}),
        (1, {SHARED_TIME_PRECISION_NS, ANY_TIME}),
        (-1, {SHARED_TIME_PRECISION_NS, ANY_TIME}),
        (2_000_000_000, {SHARED_TIME_PRECISION_NS, ANY_TIME}),
        (2_000_000_001, {ANY_TIME}),
        (-2_000_000_001, {ANY_TIME}),
    ],
)
def test_another_time_is_another_version_if_it_differs_by_more_than_the_precision(
    inbox: Path, differs_ns: int, precisions: set[int | None]
) -> None:
    os.utime(inbox / PATH, ns=(0, TIME_NS + differs_ns))

    for precision in (EXACT_TIME, SHARED_TIME_PRECISION_NS, ANY_TIME):
        if precision in precisions:
            assert read(inbox, precision=precision) == CONTENT
        else:
            with pytest.raises(OtherVersion):
                read(inbox, precision=precision)


def test_a_file_of_the_largest_size_is_read_and_a_larger_one_is_not(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(inbox / PATH, bytes(LARGEST_FILE))
    assert read(inbox, version=FileVersion(LARGEST_FILE, TIME_NS)) == bytes(LARGEST_FILE)

    monkeypatch.setattr(reading, "_read_up_to", None)  # nothing of it is read
    for size in (LARGEST_FILE + 1, 1 << 42):
        os.truncate(inbox / PATH, size)
        os.utime(inbox / PATH, ns=(0, TIME_NS))
        with pytest.raises(TooLarge) as raised:
            read(inbox, version=FileVersion(size, TIME_NS))
        assert raised.value.size == size


def test_a_larger_file_in_its_place_is_another_version(inbox: Path) -> None:
    os.truncate(inbox / PATH, LARGEST_FILE + 1)

    with pytest.raises(OtherVersion) as raised:
        read(inbox, precision=ANY_TIME)
    assert raised.value.size == LARGEST_FILE + 1


# While it is read


def while_reading(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object], *, after_parts: int = 0) -> None:
    """Let something happen once the file has been opened and looked at and so many parts of it have been read."""
    really_read = os.read
    parts = 0

    def read_and_let_it_happen(descriptor: int, size: int) -> bytes:
        nonlocal parts
        if parts == after_parts:
            happens()
        parts += 1
        return really_read(descriptor, min(size, 5))

    monkeypatch.setattr(os, "read", read_and_let_it_happen)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b", grown")
    os.utime(path, ns=(0, TIME_NS))


def truncate(path: Path) -> None:
    os.truncate(path, 7)
    os.utime(path, ns=(0, TIME_NS))


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(CONTENT[::-1])
    os.utime(path, ns=(0, TIME_NS + 3_000_000_000))


@pytest.mark.parametrize("after_parts", [0, 1, 4])
@pytest.mark.parametrize("change", [append, truncate, overwrite])
def test_a_file_that_changes_while_it_is_read_is_another_version(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], after_parts: int
) -> None:
    while_reading(monkeypatch, lambda: change(inbox / PATH), after_parts=after_parts)

    with pytest.raises(OtherVersion):
        read(inbox, precision=SHARED_TIME_PRECISION_NS)


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(inbox / "new.jpg", CONTENT[::-1])
    while_reading(monkeypatch, lambda: (inbox / "new.jpg").rename(inbox / PATH) if (inbox / "new.jpg").exists() else 0)

    assert read(inbox) == CONTENT


def test_a_share_may_return_a_file_in_parts(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    while_reading(monkeypatch, lambda: None)

    assert read(inbox) == CONTENT


# Batches


def test_a_folder_is_resolved_once_for_a_batch(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        written(inbox / "S1" / f"{number}.jpg")
    resolved = reading._resolved
    asked: list[str] = []

    def resolved_and_noted(root: str, path: str) -> tuple[str, str]:
        asked.append(path)
        return resolved(root, path)

    monkeypatch.setattr(reading, "_resolved", resolved_and_noted)

    with OpenFolders() as folders:
        for number in range(5):
            path = f"S1/{number}.jpg"
            assert read_version(str(inbox), path, VERSION, time_precision_ns=0, folders=folders) == CONTENT

    assert asked == ["S1"]


def test_folders_of_the_same_name_in_two_inboxes_are_two(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "S1").mkdir(parents=True)
    written(tmp_path / "other" / PATH, CONTENT[::-1])

    with OpenFolders() as folders:
        for root, content in ((inbox, CONTENT), (tmp_path / "other", CONTENT[::-1]), (inbox, CONTENT)):
            assert read_version(str(root), PATH, VERSION, time_precision_ns=0, folders=folders) == content


def test_a_bounded_number_of_folders_is_held_open(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_OPEN_FOLDERS", 3)
    for number in range(9):
        (inbox / f"S-{number}").mkdir()
        written(inbox / f"S-{number}" / "cell.jpg")
    before = open_descriptors()

    with OpenFolders() as folders:
        for number in (*range(9), *range(9)):
            path = f"S-{number}/cell.jpg"
            assert read_version(str(inbox), path, VERSION, time_precision_ns=0, folders=folders) == CONTENT
            assert open_descriptors() <= before + 3


def test_a_folder_that_cannot_be_opened_is_tried_again(inbox: Path) -> None:
    with OpenFolders() as folders:
        with pytest.raises(FileNotFoundError):
            read_version(str(inbox), "S2/cell.jpg", VERSION, time_precision_ns=0, folders=folders)
        (inbox / "S1").rename(inbox / "S2")
        assert read_version(str(inbox), "S2/cell.jpg", VERSION, time_precision_ns=0, folders=folders) == CONTENT


def test_what_is_unexpected_is_no_error_of_the_system() -> None:
    for kind in (LeavesInbox, NotAFile, OtherVersion, TooLarge):
        assert issubclass(kind, UnexpectedFile)
        assert not issubclass(kind, OSError)
