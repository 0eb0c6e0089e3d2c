"""A server without logins answers the user who has started it, and nobody else on the machine without the launch token."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import uvicorn

from smearcount.cli.main import main
from smearcount.web.auth import launch
from smearcount.web.auth.launch import LAUNCH_COOKIE, _End, _in_table, new_token, peer_uid, with_token
from smearcount.web.auth.users import Role, Users
from smearcount.web.server.application import make_application
from smearcount.web.services import Services
from smearcount.web.settings import WebSettings

from support.serving import Lab
from support.waiting import PATIENCE, wait_until

TOKEN = new_token()


@pytest.fixture
def is_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every connection belong to another user of the machine, as the kernel would tell."""
    monkeypatch.setattr(launch, "peer_uid", lambda *_: os.geteuid() + 1)


@pytest.fixture
def address(lab: Lab) -> Iterator[str]:
    """Serve the real application over a real socket, with a launch token; yields its address."""
    lab.add_slide("S-1")
    services: Services = lab.application().state.services
    listener = socket.create_server(("127.0.0.1", 0))
    application = make_application(Services(**{**vars(services), "launch_token": TOKEN}))
    server = uvicorn.Server(uvicorn.Config(application, log_config=None, access_log=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    wait_until(lambda: server.started, what="the web server")
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def get(url: str, **headers: str) -> httpx2.Response:
    return httpx2.get(url, headers=headers, timeout=PATIENCE)


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel does not tell whose a connection is")
def test_the_same_user_goes_on_without_a_word(address: str) -> None:
    answer = get(f"{address}api/v1/slides")
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers, "other ports of this machine would be shown it"


@pytest.mark.usefixtures("is_another_user")
def test_another_user_needs_the_token(address: str) -> None:
    for path in ("", "slides/1", "api/v1/slides", "metrics", "openapi.json"):
        answer = get(f"{address}{path}")
        assert answer.status_code == 401, path
        assert "S-1" not in answer.text
    assert httpx2.post(f"{address}api/v1/reviews", json={}, timeout=PATIENCE).status_code == 401
    assert get(f"{address}healthz").status_code == 200
    for wrong in (TOKEN[:-1], TOKEN + "x", "", "%C3%A9"):
        assert get(f"{address}api/v1/slides?token={wrong}").status_code == 401
        assert get(f"{address}api/v1/slides", cookie=f"{LAUNCH_COOKIE}={wrong}").status_code == 401


@pytest.mark.usefixtures("is_another_user")
def test_the_printed_address_works_when_it_is_clicked_and_hides_the_token(address: str) -> None:
    with httpx2.Client(timeout=PATIENCE) as browser:
        answer = browser.get(with_token(address, TOKEN))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        kept = answer.headers["set-cookie"].lower()
        assert "httponly" in kept
        assert "samesite=strict" in kept
        assert browser.get(address).status_code == 200
        assert browser.get(f"{address}api/v1/slides").status_code == 200
    assert get(f"{address}api/v1/slides", authorization=f"Bearer {TOKEN}").status_code == 200


@pytest.mark.usefixtures("is_another_user")
@pytest.mark.parametrize("path", ["/evil.example/", "%2Fevil.example", "%5Cevil.example", "/%5C/evil.example"])
def test_the_token_leads_nobody_elsewhere(address: str, path: str) -> None:
    answer = get(f"{address}{path}?token={TOKEN}&a=1")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/")
    assert not answer.headers["location"].startswith(("//", "/\\", "/%5C"))


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel does not tell whose a connection is")
@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_the_kernel_says_whose_a_connection_is(host: str, family: socket.AddressFamily) -> None:
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener:
        here = listener.getsockname()[:2]
        with socket.create_connection(here) as client:
            there = client.getsockname()[:2]
            accepted, _ = listener.accept()
            with accepted:
                assert peer_uid(there, here) == os.geteuid()
                assert _in_table(_End.of(*there), _End.of(*here)) == os.geteuid(), "where the kernel cannot be asked"
                assert peer_uid((there[0], there[1] ^ 1), here) is None
                client.close()
                # What its program has closed belongs to nobody; the kernel writes 0, which is root's number.
                assert peer_uid(there, here) is None
                assert _in_table(_End.of(*there), _End.of(*here)) is None
                assert peer_uid(here, (there[0], 1)) is None, "who listens is no connection"
    assert peer_uid(("testclient", 1), here) is None


def test_web_user_closes_a_server_that_runs_and_says_so(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.add_slide("S-1")
    with lab.client() as client:
        assert client.get("/api/v1/slides").status_code == 200
        monkeypatch.setattr(
            "smearcount.cli.commands.administration.web_user._password", lambda: "correct horse battery"
        )
        assert main(["web-user", "Anna", "--data", str(tmp_path)]) == 0
        assert "everybody has to log in, at a server that runs already" in capsys.readouterr().err
        assert client.get("/api/v1/slides").status_code == 401
        assert client.get("/").status_code == 303
        # Losing the file does not open it again.
        Users(tmp_path / "users.json").remove("Anna")
        assert client.get("/api/v1/slides").status_code == 401
        (tmp_path / "users.json").unlink()
        assert client.get("/api/v1/slides").status_code == 401


def test_a_closed_server_does_not_ask_for_the_launch_token(lab: Lab, tmp_path: Path) -> None:
    Users(tmp_path / "users.json").set("Anna", Role.VIEWER, "correct horse battery")
    with lab.client(WebSettings()) as client:
        assert client.get("/api/v1/slides").json()["type"] == "/problems/login-needed"
