"""Files that are ready stay so until the journal has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smearcount.db.records import SeenFile
from smearcount.watcher.ready_files import ReadyFiles


def seen(name: str, size: int = 1) -> SeenFile:
    return SeenFile("S", name, size, 1, "S")


@pytest.fixture
def ready() -> ReadyFiles:
    """Three files that are ready."""
    files = ReadyFiles()
    for name in "abc":
        files.put(f"S/{name}", seen(name))
    return files


def test_what_is_taken_stays_until_it_is_committed(ready: ReadyFiles) -> None:
    taken = ready.take()
    assert taken.files == [seen("a"), seen("b"), seen("c")]
    assert len(ready) == 3
    assert ready.take() == taken, "the journal failed, and they are taken again"

    ready.commit(taken)

    assert len(ready) == 0
    assert ready.take().files == []


def test_the_first_ones_are_taken_first(ready: ReadyFiles) -> None:
    taken = ready.take(2)
    ready.commit(taken)

    assert taken.files == [seen("a"), seen("b")]
    assert ready.take(2).files == [seen("c")]


@pytest.mark.parametrize("size", [1, 2], ids=["as it was", "in a new version"])
def test_a_file_that_became_ready_again_after_it_was_taken_is_not_lost(ready: ReadyFiles, size: int) -> None:
    taken = ready.take()
    again = seen("b", size)
    ready.put("S/b", again)

    ready.commit(taken)

    (kept,) = ready.take().files
    assert kept is again


def test_a_file_that_became_ready_after_it_was_taken_is_not_lost(ready: ReadyFiles) -> None:
    taken = ready.take(1)
    ready.put("S/d", seen("d"))

    ready.commit(taken)

    assert ready.take().files == [seen("b"), seen("c"), seen("d")]


def test_the_newest_version_of_a_file_replaces_the_one_before(ready: ReadyFiles) -> None:
    ready.put("S/a", seen("a", 7))

    assert ready.take().files == [seen("a", 7), seen("b"), seen("c")]


def test_to_commit_twice_changes_nothing(ready: ReadyFiles) -> None:
    taken = ready.take(1)
    ready.commit(taken)
    ready.commit(taken)

    assert len(ready) == 2


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "commit"]), st.integers(0, 4)), max_size=40))
def test_the_last_version_of_every_file_is_committed_in_the_end(steps: list[tuple[str, int]]) -> None:
    ready, journal, newest = ReadyFiles(), dict[str, SeenFile](), dict[str, SeenFile]()
    taken = ready.take()
    for moment, (step, number) in enumerate(steps):
        if step == "put":
            newest[f"S/{number}"] = seen(str(number), moment)
            ready.put(f"S/{number}", newest[f"S/{number}"])
        elif step == "take":
            taken = ready.take(number)
        else:
            journal.update(taken.by_path)
            ready.commit(taken)
    taken = ready.take()
    journal.update(taken.by_path)
    ready.commit(taken)

    assert len(ready) == 0
    assert journal == newest
