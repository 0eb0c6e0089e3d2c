"""When a part that has died is started again: at once, and after longer and longer pauses if it keeps dying."""

from collections.abc import Callable

#: Pause before the first restart after a long life, before the second one, and the longest one, in seconds.
_FIRST, _SECOND, _LONGEST = 0.0, 1.0, 60.0


class Restarts:
    """The pauses of one part; a part that has lived for longer than the longest pause begins anew without one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin without a pause; `clock` returns seconds."""
        self._clock = clock
        self._started_at = clock()
        self._pause = _FIRST
        self._due_at: float | None = None

    @property
    def is_planned(self) -> bool:
        """Whether a restart was planned and has not taken place."""
        return self._due_at is not None

    @property
    def is_due(self) -> bool:
        """Whether a restart was planned and its pause is over."""
        return self._due_at is not None and self._clock() >= self._due_at

    def note_start(self) -> None:
        """Note that the part was started just now."""
        self._started_at = self._clock()
        self._due_at = None

    def plan(self) -> float:
        """Plan the next restart, for a part that has died or could not be started; return the pause in seconds."""
        now = self._clock()
        if self._due_at is None and now - self._started_at > _LONGEST:
            self._pause = _FIRST
        pause = self._pause
        self._due_at = now + pause
        self._pause = min(max(2 * pause, _SECOND), _LONGEST)
        return pause
