"""`up` counts on when its terminal is closed, and when nothing can be written where it prints."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.exports import drop, exports
from support.running import Smearcount
from support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("output", ["a closed terminal", "a full disk, in ASCII"])
def test_counting_goes_on_whatever_becomes_of_what_it_prints(smearcount: Smearcount, inbox: Path, output: str) -> None:
    drop(inbox, {f"Müller {path}": content for path, content in exports(slides=1, cells=4).items()})
    ours, theirs = pty.openpty() if output == "a closed terminal" else (None, os.open("/dev/full", os.O_WRONLY))
    up = subprocess.Popen(
        [sys.executable, "-m", "smearcount.cli.main", "up", str(inbox)],
        env={**smearcount.all_environment(), "TERM": "xterm", "PYTHONIOENCODING": "ascii"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        wait_until(smearcount.is_watching, what="the start")
        if ours is not None:
            os.close(ours)
            up.send_signal(signal.SIGHUP)
        wait_until(lambda: smearcount.is_counted(4), what="the first slide")
        drop(inbox, {f"later/{path}": content for path, content in exports(slides=1, cells=3).items()})
        wait_until(lambda: smearcount.is_counted(7), what="the second slide")
        assert up.poll() is None
    finally:
        up.terminate()
        up.wait(PATIENCE)
    assert up.returncode == 130
