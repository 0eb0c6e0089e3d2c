"""What acceptance tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.running import Smearcount


@pytest.fixture
def smearcount(tmp_path: Path) -> Iterator[Smearcount]:
    """The command with a fresh data folder; what it started is ended afterwards, and nothing may outlive it."""
    command = Smearcount(tmp_path / "data")
    yield command
    command.end()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An empty inbox."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder
