"""No home, no user entry, odd names, Kubernetes's variables, a read-only /dev/shm: it works, or one line says what to set."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.exports import drop, exports
from support.network.namespaces import run
from support.running import Smearcount
from support.waiting import PATIENCE

_IS_POSSIBLE = sys.platform == "linux" and os.geteuid() == 0 and shutil.which("unshare") is not None

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _IS_POSSIBLE, reason="only root can mount what this test needs, with unshare"),
]


def in_an_odd_world(
    mount: str, *words: "str | bytes | Path", environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run smearcount without HOME where a mount was made for it alone."""
    script = f'{mount} && exec env --unset=HOME "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-P", "-m", "smearcount.cli.main", *words],
        env={name: value for name, value in environment.items() if name != "HOME"},
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


#: Systemd's name service would know root all the same.
NOBODY = "mount --bind /dev/null /etc/passwd && mount --bind /dev/null /etc/nsswitch.conf"


def test_nobody_without_a_home_counts_an_inbox_with_an_odd_name_into_a_folder_with_an_odd_name(
    smearcount: Smearcount, tmp_path: Path
) -> None:
    inbox = Path(os.fsdecode(os.fsencode(tmp_path) + b"/in\xff"))
    drop(inbox, exports(slides=1, cells=3))
    smearcount.data = tmp_path / "a?b#c%41 d"
    smearcount.environment = {
        "SMEARCOUNT_WARNED": "",
        # What Kubernetes sets for a service named smearcount-web.
        "SMEARCOUNT_WEB_PORT": "tcp://10.0.0.1:8765",
        "SMEARCOUNT_WEB_SERVICE_HOST": "10.0.0.1",
        "SMEARCOUNT_WEB_SERVICE_PORT_HTTP": "8765",
        "SMEARCOUNT_WEB_PORT_8765_TCP_ADDR": "10.0.0.1",
    }

    done = in_an_odd_world(NOBODY, "up", inbox, "--once", environment=smearcount.all_environment())

    assert done.returncode == 0, done.stderr
    assert "3 of 3 images" in done.stderr or "S00" in done.stdout
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert all(" is deprecated" in line for line in warnings), warnings
    assert sorted(path.name for path in smearcount.data.iterdir() if path.is_file())[0] == "smearcount.db"


def test_without_a_home_and_a_data_folder_one_line_says_what_to_set(smearcount: Smearcount) -> None:
    environment = smearcount.all_environment()
    del environment["SMEARCOUNT_DATA"]

    done = in_an_odd_world(NOBODY, "slides", environment=environment)

    assert done.returncode == 1
    assert done.stderr == (
        "error: this user has no home folder, so say with SMEARCOUNT_DATA or --data where smearcount may keep its files\n"
    )


def test_a_worker_without_shared_memory_says_what_to_mount() -> None:
    code = "from smearcount.worker.service import _require_shared_memory as check; check()"
    with pytest.raises(Exception, match=r"shm: Read-only file system.; mount a tmpfs there"):
        run("unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o ro t /dev/shm && {sys.executable} -c '{code}'")
