"""Guessing passwords: attempts are counted before they are looked at, and hashing keeps nobody waiting."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from smearcount.web.auth import users
from smearcount.web.auth.access import SECURE_SESSION_COOKIE, SESSION_COOKIE, Access, session_cookie
from smearcount.web.auth.login_throttle import PER_ADDRESS, PER_NAME, LoginThrottle
from smearcount.web.auth.users import Role, Users
from smearcount.web.problems import Problem
from smearcount.web.settings import WebSettings

from support.serving import Lab

PASSWORD = "correct horse battery"  # noqa: S105


@pytest.fixture
def access(tmp_path: Path) -> Access:
    """The rules of a server with one user."""
    Users(tmp_path / "users.json").set("Anna", Role.REVIEWER, PASSWORD)
    return Access(WebSettings(), tmp_path)


def outcomes(access: Access, guesses: int, *, client: str = "192.0.2.1") -> list[str]:
    """Guess so many passwords at the same moment; return the kinds of problems."""

    async def guess(number: int) -> str:
        try:
            await access.log_in_beside("Anna", f"wrong password {number}", client=client)
        except Problem as problem:
            return problem.kind
        return "in"

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(guess(number) for number in range(guesses)))

    return asyncio.run(all_at_once())


def test_parallel_guesses_do_not_pass_the_limit(access: Access) -> None:
    """Of sixty guesses at the same moment, forty-four were tried."""
    found = outcomes(access, 60)
    assert found.count("wrong-login") == PER_NAME
    assert found.count("too-many-logins") == 60 - PER_NAME


def test_an_ipv6_network_is_one_address() -> None:
    throttle = LoginThrottle(lambda: 0.0)
    for number in range(PER_ADDRESS):
        throttle.attempt(f"user{number}", f"2001:db8:1:2:{number:x}::1")
    with pytest.raises(Problem):
        throttle.attempt("another", "2001:db8:1:2:ffff::1")
    throttle.attempt("another", "2001:db8:1:3::1")
    # IPv4 in the clothes of IPv6 is not one network.
    for number in range(PER_ADDRESS + 5):
        throttle.attempt("another", f"::ffff:192.0.2.{number}")


def test_hashing_takes_no_thread_that_answers(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred and twenty logins at once kept the API waiting for 22 s."""
    Users(tmp_path / "users.json").set("Anna", Role.REVIEWER, PASSWORD)
    lab.add_slide("S-1")
    hashing, go_on = threading.Semaphore(0), threading.Event()
    at_once, most = 0, 0
    lock = threading.Lock()

    def verify(_hashed: str, _password: str) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        hashing.release()
        go_on.wait()
        with lock:
            at_once -= 1
        return False

    monkeypatch.setattr(users, "_verify", verify)
    settings = WebSettings(web_token="t" * 32)  # type: ignore[arg-type]
    with lab.client(settings) as client:
        answers: list[int] = []

        def log_in(number: int) -> None:
            body = {"name": f"user{number}", "password": "wrong password"}
            answers.append(client.post("/api/v1/session", json=body).status_code)

        threads = [threading.Thread(target=log_in, args=(number,)) for number in range(PER_ADDRESS)]
        for thread in threads:
            thread.start()
        assert hashing.acquire(timeout=60)
        begun = time.monotonic()
        for _ in range(5):
            assert client.get("/api/v1/slides", headers={"Authorization": f"Bearer {'t' * 32}"}).status_code == 200
        took = time.monotonic() - begun
        go_on.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {401}
    assert most <= 2
    assert took < 60


@pytest.mark.parametrize(("scheme", "name"), [("http", SESSION_COOKIE), ("https", SECURE_SESSION_COOKIE)])
def test_over_https_the_cookie_is_this_hosts_alone(lab: Lab, tmp_path: Path, scheme: str, name: str) -> None:
    Users(tmp_path / "users.json").set("Anna", Role.REVIEWER, PASSWORD)
    with lab.client(at=f"{scheme}://127.0.0.1:8765") as client:
        answer = client.post("/api/v1/session", json={"name": "Anna", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith(f"{name}=")
        assert ("secure" in answer.headers["set-cookie"].lower()) == (scheme == "https")
        assert client.get("/api/v1/slides").status_code == 200
        csrf = answer.json()["csrf_token"]
        assert client.delete("/api/v1/session", headers={"X-CSRF-Token": csrf}).status_code == 204
        assert client.get("/api/v1/slides").status_code == 401


def test_over_https_a_cookie_that_another_port_could_set_is_not_read() -> None:
    scope = {"type": "http", "scheme": "https", "server": ("h", 443), "path": "/", "headers": [], "method": "GET"}
    assert session_cookie(HTTPConnection(scope)) == SECURE_SESSION_COOKIE


def test_no_proxy_is_believed_unless_it_is_named() -> None:
    assert WebSettings().web_proxies == ()
    with pytest.raises(ValueError, match="no address or network"):
        WebSettings(web_proxies=("proxy.example",))
