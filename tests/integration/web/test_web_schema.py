"""The API keeps what its description promises, whatever it is asked; schemathesis asks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from smearcount.db.engine.database import Database

from support.serving import Lab, make_lab, served
from support.waiting import PATIENCE

#: Cases per operation beside those that follow from the description itself: with these, half a minute on two cores.
_CASES = 3


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    for number in range(3):
        lab.add_slide(f"S{number}", unidentified=1, damaged=1)
    return lab


@pytest.mark.slow
def test_schemathesis_finds_nothing(lab: Lab, tmp_path: Path) -> None:
    with served(lab) as address:
        done = subprocess.run(
            [
                sys.executable, "-m", "schemathesis.cli", "run", f"{address}openapi.json",
                "--header", "X-Reviewer: Anna",
                # An answer without end, which tests of its own follow.
                "--exclude-path", "/api/v1/changes",
                "--max-examples", str(_CASES), "--generation-deterministic", "--continue-on-failure", "--workers", "2",
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Selected: +(\d+)/(\d+)\s+Tested: +(\d+)", done.stdout)
    assert tested is not None, done.stdout
    assert tested[1] == tested[3]
    assert int(tested[2]) == int(tested[1]) + 1


def test_every_operation_says_what_it_does(lab: Lab) -> None:
    with lab.client() as client:
        described = client.get("/openapi.json").json()
    tags = {tag["name"] for tag in described["tags"]}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert set(operation["tags"]) <= tags, (method, path)
            assert "default" in operation["responses"], (method, path)
            for parameter in operation.get("parameters", []):
                assert parameter.get("description"), (method, path, parameter["name"])
