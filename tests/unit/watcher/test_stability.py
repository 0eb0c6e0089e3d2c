"""Telling finished files from growing ones."""

from hypothesis import given
from hypothesis import strategies as st

from smearcount.inbox.versions import FileVersion
from smearcount.watcher.stability import StabilityTracker

A, B, EMPTY = FileVersion(10, 1), FileVersion(11, 2), FileVersion(0, 1)


def make(settle: float = 2.0, empty: float = 10.0) -> StabilityTracker:
    return StabilityTracker(settle_seconds=settle, empty_seconds=empty)


def test_a_file_is_stable_after_staying_the_same_and_is_then_forgotten() -> None:
    tracker = make()

    assert not tracker.observe("x", A, 0)
    assert not tracker.observe("x", A, 1.9)
    assert tracker.observe("x", A, 2)
    assert len(tracker) == 0


def test_a_change_starts_the_wait_anew() -> None:
    tracker = make()

    assert not tracker.observe("x", A, 0)
    assert not tracker.observe("x", B, 1.9)
    assert not tracker.observe("x", B, 3.8)
    assert tracker.observe("x", B, 3.9)


def test_a_time_alone_that_changes_is_a_change() -> None:
    tracker = make()

    assert not tracker.observe("x", FileVersion(10, 1), 0)
    assert not tracker.observe("x", FileVersion(10, 2), 3)


def test_an_empty_file_is_stable_later() -> None:
    tracker = make()

    assert not tracker.observe("x", EMPTY, 0)
    assert not tracker.observe("x", EMPTY, 9.9)
    assert tracker.observe("x", EMPTY, 10)


def test_an_empty_file_that_is_filled_waits_like_any_other() -> None:
    tracker = make()

    assert not tracker.observe("x", EMPTY, 0)
    assert not tracker.observe("x", A, 5)
    assert tracker.observe("x", A, 7)


def test_an_empty_file_is_never_stable_sooner_than_a_full_one() -> None:
    tracker = make(settle=5, empty=1)

    assert not tracker.observe("x", EMPTY, 0)
    assert not tracker.observe("x", EMPTY, 4.9)
    assert tracker.observe("x", EMPTY, 5)


def test_without_a_wait_a_file_is_stable_when_it_is_first_observed() -> None:
    assert make(settle=0).observe("x", A, 0)


def test_files_do_not_wait_for_each_other() -> None:
    tracker = make()
    tracker.observe("x", A, 0)
    tracker.observe("y", A, 1)

    assert tracker.observe("x", A, 2)
    assert not tracker.observe("y", A, 2)
    assert list(tracker.paths) == ["y"]


def test_a_forgotten_file_begins_anew() -> None:
    tracker = make()
    tracker.observe("x", A, 0)
    tracker.forget("x")
    tracker.forget("never seen")

    assert tracker.seconds_to_next(5) is None
    assert not tracker.observe("x", A, 5)


def test_it_says_which_file_to_probe_and_when() -> None:
    tracker = make()
    tracker.observe("x", A, 0)
    tracker.observe("y", A, 1)

    assert tracker.due(1.9) == []
    assert tracker.seconds_to_next(1.5) == 0.5
    assert tracker.due(2) == ["x"]
    assert tracker.due(3) == ["x", "y"]
    assert tracker.seconds_to_next(9) == 0


def test_an_empty_file_is_probed_meanwhile_to_see_it_filled() -> None:
    tracker = make()
    tracker.observe("x", EMPTY, 0)

    assert tracker.due(2) == ["x"]


@given(
    observations=st.lists(
        st.tuples(st.floats(0, 5), st.integers(0, 2), st.integers(0, 2)),  # seconds later, size, time
        max_size=30,
    ),
    settle=st.floats(0, 4),
    empty=st.floats(0, 8),
)
def test_no_file_is_stable_before_it_has_been_the_same_for_long_enough(
    observations: list[tuple[float, int, int]], settle: float, empty: float
) -> None:
    tracker = make(settle, empty)
    now = 0.0
    history: list[tuple[float, FileVersion]] = []  # since it was last forgotten
    for later, size, mtime in observations:
        now += later
        version = FileVersion(size, mtime)
        history.append((now, version))
        if tracker.observe("x", version, now):
            required = max(settle, empty) if size == 0 else settle
            same_since = now
            for moment, seen in reversed(history):
                if seen != version:
                    break
                same_since = moment
            assert now - same_since >= required
            history.clear()
            assert len(tracker) == 0
        else:
            assert len(tracker) == 1


@given(settle=st.floats(0, 10), empty=st.floats(0, 60), size=st.integers(0, 1), start=st.floats(0, 1e6))
def test_a_file_that_stays_the_same_is_stable_if_it_is_probed_when_due(
    settle: float, empty: float, size: int, start: float
) -> None:
    tracker = make(settle, empty)
    version, now, probes = FileVersion(size, 1), start, 0
    while not tracker.observe("x", version, now):
        wait = tracker.seconds_to_next(now)
        assert wait is not None
        now += max(wait, 1e-6)
        probes += 1
        assert probes <= 3 * (max(settle, empty) / max(settle, 0.1) + 2)
    assert now - start <= max(settle, empty if size == 0 else 0) + 0.2
