"""Pauses before restarts: none after a long life, longer and longer ones otherwise."""

from smearcount.cli.local.restarts import Restarts


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def die_after(restarts: Restarts, clock: Clock, seconds: float) -> float:
    """Let the part live for so long and die; start it again after its pause, and return that."""
    clock.now += seconds
    pause = restarts.plan()
    assert restarts.is_planned
    clock.now += pause
    assert restarts.is_due
    restarts.note_start()
    return pause


def test_pauses_grow_and_end_at_a_minute() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    assert [die_after(restarts, clock, 0.5) for _ in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_long_life_ends_the_pauses() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    for _ in range(5):
        die_after(restarts, clock, 0.5)
    assert die_after(restarts, clock, 61) == 0


def test_what_cannot_be_started_waits_longer_each_time() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    clock.now += 3600
    pauses = []
    for _ in range(4):
        pauses.append(restarts.plan())
        clock.now += 3600  # the time in which it was not there is no life
    assert pauses == [0, 1, 2, 4]


def test_nothing_is_due_before_its_pause_is_over() -> None:
    clock = Clock()
    restarts = Restarts(clock)
    assert not restarts.is_due
    restarts.plan()
    restarts.note_start()
    restarts.plan()
    clock.now += 0.9
    assert not restarts.is_due
    clock.now += 0.1
    assert restarts.is_due
