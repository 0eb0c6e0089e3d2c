"""A command loads only what it needs: what takes most of its start is loading."""

import json
import subprocess
import sys

import pytest

#: Each command runs in a child of one process, which has loaded what all commands need.
_SCRIPT = """
import gc, json, os, sys
from smearcount.cli.main import cli
loaded = {}
for command in sys.argv[1:]:
    ours, theirs = os.pipe()
    if os.fork() == 0:
        cli.get_command(None, command)
        packages = sorted({name.partition(".")[0] for name in sys.modules})
        os.write(theirs, json.dumps([packages, gc.isenabled(), gc.get_freeze_count()]).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as said:
        loaded[command] = json.loads(said.read())
    os.wait()
print(json.dumps(loaded))
"""

_COMMON = {"click", "pydantic", "sqlalchemy"}
_NEVER = {"alembic", "tensorflow", "matplotlib", "ai_edge_litert"}
#: What each command does without, of what others need.
_WITHOUT = {
    "up": {"numpy", "PIL", "redis", "celery", "fastapi", "watchdog"},
    "watch": {"numpy", "PIL", "fastapi", "rich"},
    "worker": {"fastapi", "watchdog", "rich"},
    "web": {"numpy", "redis", "celery", "watchdog", "rich"},
    "counts": {"numpy", "PIL", "redis", "celery", "fastapi", "watchdog"},
}


@pytest.mark.slow
def test_a_command_loads_only_what_it_needs() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT, *_WITHOUT], check=True, capture_output=True, text=True)
    loaded = json.loads(done.stdout)
    assert loaded.keys() == _WITHOUT.keys()
    for command, (packages, collects, kept) in loaded.items():
        assert set(packages) >= _COMMON, command
        assert not set(packages) & (_NEVER | _WITHOUT[command]), command
        assert collects, "what the command makes afterwards is searched for garbage"
        assert kept > 10_000, "what was loaded is not"
