"""Tests change interfaces only while no browser runs, and wait no longer than necessary."""

import threading

from support.network.interfaces import changing, unchanged
from support.waiting import PATIENCE


def test_who_changes_waits_for_those_who_must_not_notice() -> None:
    changes = threading.Event()

    def change() -> None:
        with changing():
            changes.set()

    waiting = threading.Thread(target=change)
    with unchanged(), unchanged():
        waiting.start()
        assert not changes.wait(0.2)
    assert changes.wait(PATIENCE)
    waiting.join()
