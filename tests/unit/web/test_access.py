"""Who may ask, and what they may do."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from smearcount.web.auth.access import SESSION_COOKIE, Access
from smearcount.web.auth.login_throttle import PER_ADDRESS, PER_NAME, WINDOW_SECONDS, LoginThrottle
from smearcount.web.auth.users import Role, Users
from smearcount.web.errors import AccessOpen, UsersInvalid
from smearcount.web.problems import Problem
from smearcount.web.settings import WebSettings

PASSWORD = "correct horse battery"  # noqa: S105 (of a test)
TOKEN, VIEWER_TOKEN = "t" * 32, "v" * 32
TOKEN_MARK = f"token {hashlib.sha256(TOKEN.encode()).hexdigest()[:8]}"


def asking(**headers: str) -> HTTPConnection:
    """A request with these headers; underscores stand for hyphens."""
    raw = [(name.replace("_", "-").lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return HTTPConnection({"type": "http", "headers": raw, "method": "GET", "path": "/"})


def with_cookie(session_id: str) -> HTTPConnection:
    return asking(cookie=f"{SESSION_COOKIE}={session_id}")


def settings(**given: object) -> WebSettings:
    return WebSettings(**given)  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder in which Anna may review and Vera may look."""
    users = Users(tmp_path / "users.json")
    users.set("Anna", Role.REVIEWER, PASSWORD)
    users.set("Vera", Role.VIEWER, PASSWORD)
    return tmp_path


def test_on_loopback_without_users_everyone_may_review_under_the_name_they_say(tmp_path: Path) -> None:
    access = Access(settings(), tmp_path)
    person = access.person(asking(X_Reviewer="%C5%81ucja%20Lab"))
    assert access.is_open
    assert person is not None
    assert (person.name, person.may_review, person.csrf_token) == ("Łucja Lab", True, None)
    nameless = access.person(asking())
    assert nameless is not None
    assert nameless.name is None


@pytest.mark.parametrize("name", ["", "%20", "a%0Ab", "x" * 81, "%E2%80%AEx"])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Problem) as raised:
        Access(settings(), tmp_path).person(asking(X_Reviewer=name))
    assert raised.value.kind == "bad-name"


@pytest.mark.parametrize("given", [{"web_host": "192.0.2.1"}, {"web_hosts": ("smears.lab.example",)}])
def test_beyond_loopback_nobody_is_let_in_without_login(tmp_path: Path, given: dict[str, object]) -> None:
    with pytest.raises(AccessOpen, match="web-user"):
        Access(settings(**given), tmp_path)
    assert not Access(settings(**given, web_token=TOKEN), tmp_path).is_open


def test_a_users_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsersInvalid, match="web-user"):
        Access(settings(web_users=tmp_path / "none.json"), tmp_path)


def test_users_close_the_server_on_loopback_too(data: Path) -> None:
    access = Access(settings(), data)
    assert not access.is_open
    assert access.person(asking(X_Reviewer="Anna")) is None


def test_tokens_give_their_roles_and_nothing_else_does(tmp_path: Path) -> None:
    access = Access(settings(web_token=TOKEN, web_viewer_token=VIEWER_TOKEN), tmp_path)
    program = access.person(asking(authorization=f"Bearer {TOKEN}", X_Reviewer="LIS"))
    assert program is not None
    assert (program.name, program.role) == (f"LIS ({TOKEN_MARK})", Role.REVIEWER)
    looker = access.person(asking(authorization=f"bearer {VIEWER_TOKEN}"))
    assert looker is not None
    assert looker.role is Role.VIEWER
    for wrong in ("", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer ü"):
        assert access.person(asking(authorization=wrong)) is None


def test_a_session_is_its_users_until_they_log_out(data: Path) -> None:
    access = Access(settings(), data)
    session_id, session = access.log_in("Anna", PASSWORD, client="a")
    person = access.person(with_cookie(session_id))
    assert person is not None
    assert (person.name, person.role, person.csrf_token) == ("Anna", Role.REVIEWER, session.csrf_token)
    assert access.person(with_cookie(session_id + "x")) is None
    access.log_out(with_cookie(session_id))
    assert access.person(with_cookie(session_id)) is None


def test_the_name_of_a_session_is_not_said_but_known(data: Path) -> None:
    access = Access(settings(), data)
    session_id, _ = access.log_in("Vera", PASSWORD, client="a")
    person = access.person(asking(cookie=f"{SESSION_COOKIE}={session_id}", X_Reviewer="Anna"))
    assert person is not None
    assert (person.name, person.may_review) == ("Vera", False)


def test_a_session_ends_with_its_user_password_or_role(data: Path) -> None:
    access = Access(settings(), data)
    users = Users(data / "users.json")
    changes: list[Callable[[], object]] = [
        lambda: users.set("Anna", Role.REVIEWER, PASSWORD + "2"),
        lambda: users.set("Anna", Role.VIEWER, PASSWORD),
        lambda: users.remove("Anna"),
    ]
    for change in changes:
        users.set("Anna", Role.REVIEWER, PASSWORD)
        session_id, _ = access.log_in("Anna", PASSWORD, client="a")
        assert access.person(with_cookie(session_id)) is not None
        change()
        assert access.person(with_cookie(session_id)) is None


def test_a_users_file_that_goes_away_opens_nothing(data: Path) -> None:
    access = Access(settings(), data)
    (data / "users.json").unlink()
    assert access.person(asking(X_Reviewer="Anna")) is None


def test_a_session_ends_when_it_is_not_used(data: Path) -> None:
    access = Access(settings(web_session_hours=1e-9), data)
    session_id, _ = access.log_in("Anna", PASSWORD, client="a")
    assert access.person(with_cookie(session_id)) is None


def test_a_token_opens_a_session_for_a_browser(tmp_path: Path) -> None:
    access = Access(settings(web_token=TOKEN), tmp_path)
    session_id, _ = access.log_in_with_token("Anna", TOKEN, client="a")
    person = access.person(with_cookie(session_id))
    assert person is not None
    assert (person.name, person.role) == (f"Anna ({TOKEN_MARK})", Role.REVIEWER)
    with pytest.raises(Problem) as raised:
        access.log_in_with_token("Anna", VIEWER_TOKEN, client="a")
    assert raised.value.kind == "wrong-login"


def test_wrong_logins_are_limited(data: Path) -> None:
    access = Access(settings(), data)
    for _ in range(PER_NAME):
        with pytest.raises(Problem) as raised:
            access.log_in("Anna", "wrong password", client="a")
        assert raised.value.kind == "wrong-login"
    with pytest.raises(Problem) as raised:
        access.log_in("Anna", PASSWORD, client="a")
    assert raised.value.kind == "too-many-logins"
    assert int(raised.value.headers["Retry-After"]) <= WINDOW_SECONDS + 1
    # A colleague at another machine is not locked out by that.
    access.log_in("Anna", PASSWORD, client="b")


def test_attempts_come_back_in_time_and_after_a_success() -> None:
    now = [0.0]
    throttle = LoginThrottle(lambda: now[0])
    for _ in range(PER_NAME):
        throttle.attempt("Anna", "a")
    with pytest.raises(Problem) as refused:
        throttle.attempt("Anna", "a")
    assert float(refused.value.headers["Retry-After"]) <= WINDOW_SECONDS / PER_NAME + 1
    # Nobody is locked out: one attempt after the other comes back, and not all at once.
    now[0] = WINDOW_SECONDS / PER_NAME
    throttle.attempt("Anna", "a")
    with pytest.raises(Problem):
        throttle.attempt("Anna", "a")
    now[0] *= 2
    throttle.attempt("Anna", "a")
    throttle.succeeded("Anna", "a")
    for _ in range(PER_NAME):
        throttle.attempt("Anna", "a")


def test_many_names_from_one_address_are_limited_too() -> None:
    throttle = LoginThrottle(lambda: 0.0)
    for number in range(PER_ADDRESS):
        throttle.attempt(f"user{number}", "a")
    with pytest.raises(Problem):
        throttle.attempt("another", "a")
    throttle.attempt("another", "b")
