"""Which folder is scanned next."""

import pytest

from smearcount.watcher.scan_schedule import EVERYWHERE, ScanSchedule, UnreadableFolders


@pytest.fixture
def schedule() -> ScanSchedule:
    """A schedule whose first full scan ended at 0; the next one is due at 60."""
    made = ScanSchedule()
    assert made.begin_next(0) == EVERYWHERE
    made.end(0, interval=60)
    return made


def begun(schedule: ScanSchedule, now: float) -> list[str]:
    """All scans that begin at a moment, one after the other."""
    folders = []
    while (folder := schedule.begin_next(now)) is not None:
        folders.append(folder)
        schedule.end(now, interval=60)
    return folders


def state(schedule: ScanSchedule) -> tuple[bool, bool, bool]:
    """Whether a scan runs, whether it is a full one, and whether a full one has ended."""
    return schedule.is_running, schedule.is_full_scan_running, schedule.has_ended_full_scan


def test_everything_is_scanned_at_the_start() -> None:
    schedule = ScanSchedule()
    assert state(schedule) == (False, False, False)

    assert schedule.begin_next(0) == EVERYWHERE
    assert state(schedule) == (True, True, False)

    schedule.end(5, interval=60)
    assert state(schedule) == (False, False, True)


def test_everything_is_scanned_again_at_intervals_from_the_end_of_a_scan(schedule: ScanSchedule) -> None:
    assert schedule.begin_next(59.9) is None
    assert schedule.begin_next(60) == EVERYWHERE
    schedule.end(100, interval=60)
    assert schedule.begin_next(159) is None
    assert schedule.begin_next(160) == EVERYWHERE


def test_a_full_scan_is_not_due_again_while_it_runs(schedule: ScanSchedule) -> None:
    assert schedule.begin_next(60) == EVERYWHERE
    schedule.request(["S"])
    assert schedule.is_busy
    schedule.end(1000, interval=60)

    assert begun(schedule, 1001) == ["S"]


def test_folders_are_scanned_once_each_in_the_order_in_which_they_were_asked_for(schedule: ScanSchedule) -> None:
    schedule.request(["b", "a"])
    schedule.request(["a", "c"])
    assert schedule.is_busy
    assert not schedule.is_running

    assert begun(schedule, 1) == ["b", "a", "c"]
    assert not schedule.is_busy


def test_a_full_scan_makes_single_folders_needless(schedule: ScanSchedule) -> None:
    schedule.request(["b", "a"])
    schedule.request_everywhere()
    assert begun(schedule, 1) == [EVERYWHERE]

    schedule.request(["b", "a"])
    assert begun(schedule, 99) == [EVERYWHERE]


def test_what_is_asked_for_during_a_scan_comes_after_it(schedule: ScanSchedule) -> None:
    assert schedule.begin_next(60) == EVERYWHERE
    schedule.request_everywhere()
    schedule.request(["late"])
    assert schedule.is_full_scan_running

    schedule.end(61, interval=60)
    assert begun(schedule, 61) == [EVERYWHERE, "late"]


def test_a_scan_of_one_folder_changes_nothing_of_when_everything_is_due(schedule: ScanSchedule) -> None:
    schedule.confirm_full_scan(are_all_stable=True)
    schedule.request(["S"])
    assert schedule.begin_next(59) == "S"
    assert not schedule.is_full_scan_running
    schedule.end(59, interval=1000)

    assert not schedule.confirm_full_scan(are_all_stable=True)
    assert schedule.begin_next(60) == EVERYWHERE


def test_a_full_scan_is_confirmed_once_when_all_it_found_is_stable(schedule: ScanSchedule) -> None:
    assert not schedule.confirm_full_scan(are_all_stable=False)
    assert schedule.confirm_full_scan(are_all_stable=True)
    assert not schedule.confirm_full_scan(are_all_stable=True)


def test_no_scan_is_confirmed_while_another_runs(schedule: ScanSchedule) -> None:
    schedule.request(["S"])
    schedule.begin_next(1)
    assert not schedule.confirm_full_scan(are_all_stable=True)

    schedule.end(2, interval=60)
    assert schedule.confirm_full_scan(are_all_stable=True)


def test_to_start_over_abandons_the_scan_and_scans_everything_at_once(schedule: ScanSchedule) -> None:
    schedule.request(["S"])
    assert schedule.begin_next(1) == "S"

    schedule.start_over()

    assert not schedule.is_running
    assert not schedule.confirm_full_scan(are_all_stable=True)
    assert schedule.has_ended_full_scan, "every folder has been scanned once all the same"
    assert schedule.begin_next(1) == EVERYWHERE


def test_an_abandoned_full_scan_has_not_ended() -> None:
    schedule = ScanSchedule()
    schedule.begin_next(0)
    schedule.start_over()

    assert not schedule.has_ended_full_scan
    assert schedule.begin_next(0) == EVERYWHERE


def test_unreadable_folders_are_reported_when_they_have_become_more() -> None:
    unreadable = UnreadableFolders()
    reported = []
    for folders in ({"a"}, {"a"}, {"a", "b"}, {"b"}, {"b"}, {"a", "b", "c"}, set()):
        unreadable.begin()
        unreadable.folders.update(folders)
        reported.append(unreadable.end())

    assert reported == [1, 0, 2, 0, 0, 3, 0]
