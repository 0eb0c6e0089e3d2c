"""Machines that see the inbox at their own mount point, or do not see it yet."""

import json
import shutil
from pathlib import Path
from typing import Any

from support.exports import drop, exports
from support.running import Smearcount
from support.waiting import wait_until

CELLS = 20


def findings(smearcount: Smearcount, what: str) -> list[dict[str, Any]]:
    """Return doctor's findings about one thing; its exit code may be 1 because of others, such as the broker of a test."""
    said = json.loads(smearcount.call("doctor", "--format", "json").stdout)
    return [one for one in said if one["what"].startswith(what)]


def test_a_machine_counts_as_soon_as_its_own_mount_point_shows_the_inbox(
    smearcount: Smearcount, inbox: Path, tmp_path: Path, broker_url: str
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    files = exports(slides=2, cells=CELLS)
    drop(inbox, files)
    smearcount.environment |= {"SMEARCOUNT_BROKER_URL": broker_url, "SMEARCOUNT_HASH_FILES": "true"}
    smearcount.start("watch", inbox)
    wait_until(lambda: smearcount.images("queued") == len(files), what="all images to be queued")
    smearcount.environment["SMEARCOUNT_MOUNTS"] = str(share)

    smearcount.start("worker")
    wait_until(lambda: "not-here" in smearcount.call("images", "--format", "csv").stdout, what="the worker to say so")
    assert smearcount.images("finished") == 0
    (mounts,) = findings(smearcount, "mounts")
    (seen,) = findings(smearcount, "inbox")
    assert (mounts["state"], mounts["details"]) == ("well", str(share))
    assert seen["state"] == "wrong"
    assert "SMEARCOUNT_MOUNTS" in seen["details"]

    shutil.copytree(inbox, share, dirs_exist_ok=True)

    wait_until(lambda: smearcount.is_counted(len(files)), what="all images")
    assert smearcount.images("done") == len(files)
    assert findings(smearcount, "inbox")[0]["state"] == "well"


def test_a_name_that_no_inbox_has_is_said(smearcount: Smearcount, inbox: Path) -> None:
    smearcount.environment["SMEARCOUNT_INBOX_NAME"] = "ward"
    drop(inbox, exports(slides=1, cells=CELLS))
    assert smearcount.run("up", inbox, "--once").returncode == 0
    smearcount.environment["SMEARCOUNT_MOUNTS"] = '{"wrd": "/mnt/share"}'

    (mounts,) = findings(smearcount, "mounts")

    assert mounts["state"] == "wrong"
    assert "names wrd, but the inboxes are: ward" in mounts["details"]


def test_a_relative_path_is_an_error(smearcount: Smearcount) -> None:
    smearcount.environment["SMEARCOUNT_MOUNTS"] = "mnt/share"

    done = smearcount.call("worker")

    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: SMEARCOUNT_MOUNTS cannot be 'mnt/share': give absolute paths")
