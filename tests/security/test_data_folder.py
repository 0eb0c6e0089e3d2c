"""Other users of the machine neither read what the installation keeps, nor write what it believes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from smearcount.cli.errors import CommandError
from smearcount.cli.main import main
from smearcount.cli.startup import open_site
from smearcount.db.backup.backups import back_up, restore
from smearcount.db.engine.database import Database
from smearcount.db.migration import migrate


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def left_open(data: Path, *, umask: int = 0o022) -> Path:
    """Make a data folder as versions before did under this umask."""
    (data / "logs").mkdir(parents=True)
    for name in ("smearcount.db", "smearcount.db-wal", "users.json", "up.lock", "logs/worker.log"):
        (data / name).write_text("{}")
        (data / name).chmod(0o666 & ~umask)
    for folder in (data, data / "logs"):
        folder.chmod(0o777 & ~umask)
    return data


@pytest.mark.parametrize("umask", ["0", "022", "077"])
@pytest.mark.slow
def test_a_command_leaves_nothing_for_others_whatever_the_umask(tmp_path: Path, umask: str) -> None:
    data = tmp_path / "data"
    command = f"umask {umask}; exec {sys.executable} -P -m smearcount.cli.main web-user Anna --data {data}"
    subprocess.run(["sh", "-c", command], input=b"correct horse battery\n", check=True, capture_output=True)
    command = f"umask {umask}; exec {sys.executable} -P -m smearcount.cli.main migrate --data {data}"
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    assert {mode(path) for path in (data, *data.rglob("*")) if path.is_dir()} == {0o700}
    assert {mode(path) for path in data.rglob("*") if path.is_file()} == {0o600}


def test_what_an_earlier_version_left_open_to_readers_is_closed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = left_open(tmp_path / "data")
    open_site(data=data)
    assert {mode(path) for path in data.rglob("*") if path.is_file()} == {0o600}
    assert mode(data) == mode(data / "logs") == 0o700
    assert "alone now" in capsys.readouterr().err
    open_site(data=data)
    assert "alone now" not in capsys.readouterr().err


def test_a_folder_that_is_none_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    (home / "letter.txt").touch(0o644)
    open_site(data=home)
    assert mode(home) == 0o755


def test_a_data_folder_that_everybody_may_write_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """With a umask of 000, others replaced users.json and logged in."""
    data = left_open(tmp_path / "data", umask=0)
    with pytest.raises(CommandError, match=rf"written by every user.*chmod go-w {data}"):
        open_site(data=data)
    data.chmod(0o755)
    (data / "users.json").chmod(0o666)
    with pytest.raises(CommandError, match=rf"chmod go-w {data}/users.json"):
        open_site(data=tmp_path / "other", web_users=data / "users.json")


def test_a_secret_that_everybody_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    token = secrets / "smearcount_web_token"
    token.write_text("t" * 32)
    token.chmod(0o666)
    monkeypatch.setenv("SMEARCOUNT_SECRETS", str(secrets))
    with pytest.raises(CommandError, match="chmod go-w"):
        open_site(data=tmp_path / "data")
    token.chmod(0o640)
    open_site(data=tmp_path / "data")
    # Kubernetes mounts secrets in a folder that everybody may write to, with the sticky bit.
    secrets.chmod(0o1777)
    open_site(data=tmp_path / "data")


def test_a_restored_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Database(f"sqlite:///{tmp_path / 'old.db'}") as database:
            migrate(database)
            back_up(database, tmp_path / "backup", replace=False, progress=lambda _: None)
        with Database(f"sqlite:///{tmp_path / 'new' / 'smearcount.db'}") as database:
            restore(database, tmp_path / "backup", replace=False, progress=lambda _: None)
    finally:
        os.umask(before)
    assert mode(tmp_path / "new") == 0o700
    assert mode(tmp_path / "new" / "smearcount.db") == 0o600


def test_in_process_the_umask_is_the_callers(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        assert main(["config", "--data", str(tmp_path)]) == 0
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
