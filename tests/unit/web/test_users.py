"""The file of those who may log in."""

import json
import os
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from smearcount.web.auth import users as users_module
from smearcount.web.auth.users import Role, Users, check_name
from smearcount.web.errors import UsersInvalid

PASSWORD = "correct horse battery"  # noqa: S105 (of a test)


@pytest.fixture
def users(tmp_path: Path) -> Users:
    return Users(tmp_path / "data" / "users.json")


def test_a_user_is_known_by_the_right_password_alone(users: Users) -> None:
    users.set("Änne Lab", Role.VIEWER, PASSWORD)
    known = users.verified("Änne Lab", PASSWORD)
    assert known is not None
    assert known.role is Role.VIEWER
    assert users.verified("Änne Lab", PASSWORD + "r") is None
    assert users.verified("Nobody", PASSWORD) is None


def test_a_password_is_hashed_at_the_cost_that_rfc_9106_recommends(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users_module, "PasswordHasher", PasswordHasher)  # as it is in use; other tests hash cheaply
    users.set("Anna", Role.REVIEWER, PASSWORD)
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in users.path.read_text()
    assert users.verified("Anna", PASSWORD) is not None


def test_the_password_is_nowhere_in_the_file_and_the_file_is_its_owners(users: Users) -> None:
    users.set("Anna", Role.REVIEWER, PASSWORD)
    assert PASSWORD not in users.path.read_text()
    assert users.path.stat().st_mode & 0o077 == 0
    assert [path.name for path in users.path.parent.iterdir()] == ["users.json"]


def test_changes_of_the_file_are_seen_at_once(users: Users) -> None:
    users.set("Anna", Role.REVIEWER, PASSWORD)
    other = Users(users.path)
    assert list(other.all()) == ["Anna"]
    users.set("Berta", Role.VIEWER, PASSWORD)
    assert list(other.all()) == ["Anna", "Berta"]
    users.remove("Anna")
    assert list(other.all()) == ["Berta"]
    users.path.unlink()
    assert other.all() == {}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"Anna": {"role": "king", "password": "$argon2id$x"}}',
        '{"Anna": {"role": "viewer", "password": "plain-secret"}}',
    ],
)
def test_a_damaged_file_is_said_without_what_stands_in_it(users: Users, content: str) -> None:
    users.path.parent.mkdir()
    users.path.write_text(content)
    with pytest.raises(UsersInvalid, match="damaged") as raised:
        users.all()
    assert "plain-secret" not in str(raised.value)


def test_an_unreadable_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    users = Users(tmp_path / "file" / "users.json")
    with pytest.raises(UsersInvalid, match="cannot be"):
        users.set("Anna", Role.VIEWER, PASSWORD)


@pytest.mark.parametrize("name", ["", " Anna", "Anna ", "x" * 81, "An\nna", "An\x1b[2Jna", "\u202eannA"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(UsersInvalid):
        check_name(name)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 257])
def test_impossible_passwords_are_refused(users: Users, password: str) -> None:
    with pytest.raises(UsersInvalid, match="8 to 256"):
        users.set("Anna", Role.VIEWER, password)
    assert not users.path.exists()


def test_only_those_who_are_there_are_removed(users: Users) -> None:
    with pytest.raises(UsersInvalid, match="no user"):
        users.remove("Anna")


def test_a_hash_that_is_none_lets_nobody_in(users: Users) -> None:
    users.path.parent.mkdir()
    users.path.write_text(json.dumps({"Anna": {"role": "viewer", "password": "$argon2id$broken"}}))
    assert users.verified("Anna", PASSWORD) is None
    os.utime(users.path, ns=(1, 1))
    assert users.verified("Anna", "") is None
