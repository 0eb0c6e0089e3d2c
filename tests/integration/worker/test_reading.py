"""Reading an image as it was journalled, from real files in every state that a file can be found in."""

import hashlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from smearcount.db.ingest.visibility import NOT_HERE, OTHER_COPY
from smearcount.db.records import NotVisible, Refused, WorkItem
from smearcount.inbox.reading import LARGEST_FILE, OpenFolders
from smearcount.worker.reading import is_visible, other_copy, read_image

from support.working import work_item

CONTENT = b"the bytes of an image"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox with one slide of one image, `S1/cell.jpg`, and another one beside it."""
    folder = tmp_path / "inbox"
    (folder / "S1").mkdir(parents=True)
    (folder / "S1" / "cell.jpg").write_bytes(CONTENT)
    (folder / "S2").mkdir()
    return folder


@pytest.fixture
def item(inbox: Path) -> WorkItem:
    """The image as the watcher journalled it."""
    return work_item(inbox, "S1/cell.jpg", image_id=7)


def _code(result: object) -> str:
    assert isinstance(result, Refused), result
    assert result.image_id == 7
    assert result.sha256 is None
    return result.refusal.code


def _not_here(result: object) -> str:
    assert isinstance(result, NotVisible), result
    assert (result.image_id, result.code) == (7, NOT_HERE)
    return result.reason


def test_an_unchanged_file_is_read_whole(item: WorkItem) -> None:
    assert read_image(item) == CONTENT


def test_a_file_directly_in_the_inbox_is_read(inbox: Path) -> None:
    (inbox / "cell.jpg").write_bytes(CONTENT)

    assert read_image(work_item(inbox, "cell.jpg")) == CONTENT


def test_an_inbox_that_is_itself_a_link_is_read(inbox: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(inbox)

    assert read_image(work_item(tmp_path / "link", "S1/cell.jpg")) == CONTENT


def test_a_link_within_the_inbox_is_read(inbox: Path) -> None:
    (inbox / "S2" / "cell.jpg").symlink_to("../S1/cell.jpg")

    assert read_image(work_item(inbox, "S2/cell.jpg")) == CONTENT


@pytest.mark.parametrize(
    "name", ["line\nbreak.jpg", "no-utf8-\udcff\udc80.jpg", "back\\slash.jpg", "ümläut.jpg", "\u202egpj.exe", " .jpg"]
)
def test_a_file_may_have_any_name(inbox: Path, name: str) -> None:
    (inbox / "S1" / name).write_bytes(CONTENT)

    assert read_image(work_item(inbox, f"S1/{name}")) == CONTENT


def test_a_file_that_is_not_there_is_reported(inbox: Path, item: WorkItem) -> None:
    (inbox / "S1" / "cell.jpg").unlink()

    assert "is not there" in _not_here(read_image(item))
    assert not is_visible(item)


def test_a_file_whose_folder_is_not_there_is_reported(inbox: Path, item: WorkItem) -> None:
    shutil.rmtree(inbox / "S1")

    assert "is not there" in _not_here(read_image(item))


def test_a_file_that_cannot_be_read_is_reported_with_what_the_system_says(inbox: Path, item: WorkItem) -> None:
    shutil.rmtree(inbox / "S1")
    (inbox / "S1").write_bytes(b"")  # what was a folder is a file: an error that is neither gone nor forbidden

    assert "Not a directory" in _not_here(read_image(item))


def test_an_empty_inbox_may_be_an_unmounted_one(inbox: Path, item: WorkItem) -> None:
    shutil.rmtree(inbox)
    inbox.mkdir()

    assert "mounted" in _not_here(read_image(item))


def test_an_inbox_that_does_not_exist_here_is_reported(inbox: Path, item: WorkItem) -> None:
    shutil.rmtree(inbox)

    assert "cannot be reached" in _not_here(read_image(item))


@pytest.mark.parametrize("changed", [CONTENT + b", grown", CONTENT[:-3], b"", CONTENT[::-1]])
def test_a_file_of_another_size_or_time_is_another_copy(inbox: Path, item: WorkItem, changed: bytes) -> None:
    path = inbox / "S1" / "cell.jpg"
    path.write_bytes(changed)
    os.utime(path, ns=(0, item.version.mtime_ns + 3_000_000_000))

    result = read_image(item)

    assert isinstance(result, NotVisible)
    assert (result.image_id, result.code) == (7, OTHER_COPY)
    assert not is_visible(item)


def test_other_bytes_of_the_same_size_and_time_are_another_copy(inbox: Path, item: WorkItem) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    known = replace(item, sha256=sha256)
    assert is_visible(known)
    assert other_copy(known, sha256) is None

    (inbox / "S1" / "cell.jpg").write_bytes(CONTENT[::-1])
    os.utime(inbox / "S1" / "cell.jpg", ns=(0, item.version.mtime_ns))

    assert is_visible(item), "without a checksum nobody can tell"
    assert not is_visible(known)
    unseen = other_copy(known, hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert unseen is not None
    assert (unseen.image_id, unseen.code) == (7, OTHER_COPY)
    assert "copy the file into the inbox anew" in unseen.reason


def test_what_is_refused_whoever_looks_is_visible(inbox: Path) -> None:
    os.truncate(inbox / "S1" / "cell.jpg", LARGEST_FILE + 1)

    assert is_visible(work_item(inbox, "S1/cell.jpg"))


def test_another_file_in_its_place_is_not_refused_however_large(inbox: Path, item: WorkItem) -> None:
    os.truncate(inbox / "S1" / "cell.jpg", LARGEST_FILE + 1)

    result = read_image(item)

    assert isinstance(result, NotVisible)
    assert result.code == OTHER_COPY


@pytest.mark.parametrize("precision_ns", [1_000, 1_000_000_000, 2_000_000_000])
def test_a_share_may_show_times_less_precisely_here(inbox: Path, item: WorkItem, precision_ns: int) -> None:
    os.utime(inbox / "S1" / "cell.jpg", ns=(0, item.version.mtime_ns // precision_ns * precision_ns))

    assert read_image(item) == CONTENT


def test_a_file_of_the_largest_size_is_read_and_a_larger_one_refused(inbox: Path) -> None:
    path = inbox / "S1" / "cell.jpg"
    path.write_bytes(bytes(LARGEST_FILE))
    assert read_image(work_item(inbox, "S1/cell.jpg")) == bytes(LARGEST_FILE)

    path.write_bytes(bytes(LARGEST_FILE + 1))
    assert _code(read_image(work_item(inbox, "S1/cell.jpg", image_id=7))) == "too-large"


def test_an_enormous_file_is_refused_without_being_read(inbox: Path) -> None:
    os.truncate(inbox / "S1" / "cell.jpg", 1 << 42)

    assert _code(read_image(work_item(inbox, "S1/cell.jpg", image_id=7))) == "too-large"


def test_a_pipe_put_in_the_files_place_is_refused_at_once(inbox: Path, item: WorkItem) -> None:
    path = inbox / "S1" / "cell.jpg"
    path.unlink()
    os.mkfifo(path)

    assert "ordinary file" in _not_here(read_image(item))


def test_a_folder_put_in_the_files_place_is_refused(inbox: Path, item: WorkItem) -> None:
    path = inbox / "S1" / "cell.jpg"
    path.unlink()
    path.mkdir()

    assert "ordinary file" in _not_here(read_image(item))


def test_a_socket_put_in_the_files_place_is_refused(inbox: Path, item: WorkItem) -> None:
    path = inbox / "S1" / "cell.jpg"
    path.unlink()
    os.mknod(path, 0o140600)

    assert "ordinary file" in _not_here(read_image(item))


def test_images_of_one_batch_are_read_from_the_folders_they_are_in(inbox: Path, tmp_path: Path) -> None:
    (inbox / "S2" / "other.jpg").write_bytes(b"another")
    (inbox / "S1" / "inside.jpg").symlink_to(inbox / "S2" / "other.jpg")
    (tmp_path / "secret.jpg").write_bytes(CONTENT)
    (inbox / "S1" / "outside.jpg").symlink_to(tmp_path / "secret.jpg")

    with OpenFolders() as folders:
        read = [
            read_image(work_item(inbox, path, image_id=7), folders)
            for path in ("S1/cell.jpg", "S1/outside.jpg", "S1/inside.jpg", "S2/other.jpg", "S1/cell.jpg")
        ]

    assert "leads out of the inbox" in _not_here(read.pop(1))
    assert read == [CONTENT, b"another", b"another", CONTENT]


def test_links_in_a_circle_are_refused(inbox: Path, item: WorkItem) -> None:
    path = inbox / "S1" / "cell.jpg"
    path.unlink()
    path.symlink_to("other.jpg")
    (inbox / "S1" / "other.jpg").symlink_to("cell.jpg")

    assert "ordinary file" in _not_here(read_image(item))


def test_a_link_out_of_the_inbox_put_in_the_files_place_is_refused(inbox: Path, item: WorkItem, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    os.utime(tmp_path / "secret", ns=(0, item.version.mtime_ns))
    path = inbox / "S1" / "cell.jpg"
    path.unlink()
    path.symlink_to(tmp_path / "secret")

    assert "leads out of the inbox" in _not_here(read_image(item))


def test_a_folder_replaced_by_a_link_out_of_the_inbox_is_refused(inbox: Path, item: WorkItem, tmp_path: Path) -> None:
    (inbox / "S1").rename(tmp_path / "elsewhere")
    (inbox / "S1").symlink_to(tmp_path / "elsewhere")

    assert "leads out of the inbox" in _not_here(read_image(item))


def test_a_path_that_climbs_out_of_the_inbox_is_refused(item: WorkItem, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)

    assert "leads out of the inbox" in _not_here(read_image(replace(item, path="S1/../../secret")))


def test_a_neighbour_whose_name_begins_like_the_inbox_is_outside(inbox: Path, item: WorkItem) -> None:
    beside = inbox.with_name("inbox-of-another")
    beside.mkdir()
    (inbox / "S1").rename(beside / "S1")
    (inbox / "S1").symlink_to(beside / "S1")

    assert "leads out of the inbox" in _not_here(read_image(item))


@pytest.fixture
def open_folders(tmp_path: Path) -> Iterator[None]:
    """Let other users pass through the folders above the test's own, as long as the test lasts."""
    closed = [folder for folder in (tmp_path, *tmp_path.parents) if not folder.stat().st_mode & 0o001]
    before = {folder: folder.stat().st_mode & 0o7777 for folder in closed}
    for folder in closed:
        folder.chmod(before[folder] | 0o011)
    yield
    for folder in closed:
        folder.chmod(before[folder])


def _read_as_other_user(item: WorkItem) -> object:
    """Read as somebody who is not root, since root may read everything."""
    reader = (
        "import os, pickle, sys; from smearcount.worker.reading import read_image; os.setgid(12345); os.setuid(12345); "
    )
    reader += "pickle.dump(read_image(pickle.load(sys.stdin.buffer)), sys.stdout.buffer)"
    if os.geteuid() != 0:
        return read_image(item)
    done = subprocess.run(
        [sys.executable, "-c", reader],
        input=pickle.dumps(item),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        check=True,
        timeout=30,
    )
    return pickle.loads(done.stdout)  # noqa: S301 (our own)


@pytest.mark.usefixtures("open_folders")
def test_a_file_that_may_not_be_read_is_reported(inbox: Path, item: WorkItem) -> None:
    (inbox / "S1" / "cell.jpg").chmod(0)

    assert "permission denied" in _not_here(_read_as_other_user(item))


@pytest.mark.usefixtures("open_folders")
def test_a_file_in_a_folder_that_may_not_be_entered_is_reported(inbox: Path, item: WorkItem) -> None:
    (inbox / "S1").chmod(0)
    try:
        result = _read_as_other_user(item)
    finally:
        (inbox / "S1").chmod(0o755)

    assert "permission denied" in _not_here(result)


def test_the_reasons_name_no_file(inbox: Path, item: WorkItem) -> None:
    (inbox / "S1" / "cell.jpg").unlink()
    gone = _not_here(read_image(item))
    shutil.rmtree(inbox)
    away = _not_here(read_image(item))

    assert not any(name in gone + away for name in ("cell.jpg", "S1", str(inbox)))
