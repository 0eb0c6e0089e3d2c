"""Logging in, tokens, and what is refused to those who did not; over HTTP, as a browser and a program would."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.web.auth.access import CSRF_HEADER
from smearcount.web.auth.users import Role, Users
from smearcount.web.server.security import HEADERS, LARGEST_BODY
from smearcount.web.settings import WebSettings

from support.serving import ANNA, HERE, Lab, make_lab

PASSWORD = "correct horse battery"  # noqa: S105 (of a test)
TOKEN, VIEWER_TOKEN = "t" * 32, "v" * 32
CHANGE = {"changes": [{"cell": 1, "class": "ig"}]}


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    lab.add_slide("S1")
    users = Users(tmp_path / "users.json")
    users.set("Anna Lab", Role.REVIEWER, PASSWORD)
    users.set("Vera", Role.VIEWER, PASSWORD)
    return lab


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    """A browser at a server with users and tokens."""
    with lab.client(WebSettings(web_token=TOKEN, web_viewer_token=VIEWER_TOKEN)) as client:  # type: ignore[arg-type]
        yield client


@pytest.fixture
def open_client(sqlite_database: Database, tmp_path: Path) -> Iterator[TestClient]:
    """A browser at a server on loopback where nobody logs in."""
    lab = make_lab(sqlite_database, tmp_path / "open")
    lab.add_slide("S1")
    with lab.client() as client:
        yield client


def log_in(client: TestClient, name: str = "Anna Lab", password: str = PASSWORD) -> dict[str, str]:
    """Log in and return the header that changes need."""
    answer = client.post("/api/v1/session", json={"name": name, "password": password})
    assert answer.status_code == 201, answer.text
    return {CSRF_HEADER: answer.json()["csrf_token"]}


def test_everything_but_what_is_public_needs_a_login(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    public = set()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            where = path.format(slide_id=1, cell_id=1, delivery_id=1, kind="signed")
            answer = client.request(method, where)
            if operation.get("security") == []:
                public.add(path)
                assert answer.status_code != 401 or path == "/api/v1/session", where
            else:
                assert answer.status_code == 401, (method, where)
                assert answer.json()["type"] == "/problems/login-needed"
                assert answer.headers["www-authenticate"].startswith("Bearer")
    assert public == {"/healthz", "/readyz", "/problems", "/problems/{kind}", "/api/v1/session"}


def test_a_person_logs_in_corrects_a_cell_under_their_name_and_logs_out(client: TestClient) -> None:
    assert client.get("/api/v1/session").json()["role"] is None
    csrf = log_in(client)
    me = client.get("/api/v1/session").json()
    assert (me["name"], me["role"], me["login"]) == ("Anna Lab", "reviewer", True)
    review = client.post("/api/v1/reviews", json=CHANGE, headers={**csrf, "X-Reviewer": "Somebody%20Else"}).json()
    assert review["reviews"][0]["reviewer"] == "Anna Lab"
    assert client.delete("/api/v1/session", headers=csrf).status_code == 204
    assert client.get("/api/v1/slides").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(lab: Lab, client: TestClient) -> None:
    body = {"name": "Anna Lab", "password": PASSWORD}
    cookie = client.post("/api/v1/session", json=body).headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie
    with lab.client(WebSettings(web_hosts=("smears.lab.example",)), at="https://smears.lab.example") as over_https:
        assert "Secure" in over_https.post("/api/v1/session", json=body).headers["set-cookie"]


def test_a_change_without_the_sessions_token_is_refused(client: TestClient) -> None:
    csrf = log_in(client)
    for headers in ({}, {CSRF_HEADER: "guess"}, {CSRF_HEADER: ""}):
        answer = client.post("/api/v1/reviews", json=CHANGE, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/csrf")
    assert client.delete("/api/v1/session").json()["type"] == "/problems/csrf"
    assert client.post("/api/v1/reviews", json=CHANGE, headers=csrf).status_code == 201


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("reviews", CHANGE),
        ("undo", {}),
        ("comments", {"text": "x"}),
        ("sign-off", {"seen_review": 0}),
        ("reopen", {"reason": "x"}),
    ],
)
def test_what_a_page_sends_is_protected_as_the_api_is(client: TestClient, action: str, body: dict[str, object]) -> None:
    path = f"/slides/1/{action}"
    assert client.post(path, json=body).json()["type"] == "/problems/login-needed"
    assert client.post(path, json=body, headers=log_in(client, "Vera")).json()["type"] == "/problems/not-allowed"
    csrf = log_in(client)
    assert client.post(path, json=body).json()["type"] == "/problems/csrf"
    foreign = {**csrf, "Sec-Fetch-Site": "cross-site"}
    assert client.post(path, json=body, headers=foreign).json()["type"] == "/problems/foreign-origin"
    assert client.post(path, json={"changes": 1}, headers=csrf).status_code in ({409} if action == "undo" else {422})
    # Nothing is signed or undone yet, so these two are refused for what they ask, not for who asks.
    expected = 409 if action in {"undo", "reopen"} else 201
    assert client.post(path, json=body, headers=csrf).status_code == expected


def test_a_viewer_sees_everything_and_changes_nothing(client: TestClient) -> None:
    csrf = log_in(client, "Vera")
    assert client.get("/api/v1/slides/1/cells").status_code == 200
    for path, body in (
        ("reviews", CHANGE), ("slides/1/undo", {}), ("slides/1/comments", {"text": "x"}), ("slides/1/sign-off", {}),
        ("slides/1/reopen", {"reason": "x"}), ("retry", {}),
    ):  # fmt: skip
        answer = client.post(f"/api/v1/{path}", json=body, headers=csrf)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-allowed"), path


def test_programs_send_tokens(client: TestClient) -> None:
    viewer, reviewer = ({"Authorization": f"Bearer {token}"} for token in (VIEWER_TOKEN, TOKEN))
    assert client.get("/metrics", headers=viewer).status_code == 200
    assert client.post("/api/v1/reviews", json=CHANGE, headers={**viewer, **ANNA}).status_code == 403
    assert client.post("/api/v1/reviews", json=CHANGE, headers=reviewer).json()["type"] == "/problems/bad-name"
    done = client.post("/api/v1/reviews", json=CHANGE, headers={**reviewer, "X-Reviewer": "LIS"})
    assert re.fullmatch(r"LIS \(token [0-9a-f]{8}\)", done.json()["reviews"][0]["reviewer"])
    assert client.get("/api/v1/slides", headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_wrong_logins_are_refused_and_then_limited(client: TestClient) -> None:
    wrong = {"name": "Anna Lab", "password": "not hers at all"}
    codes = [client.post("/api/v1/session", json=wrong).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    answer = client.post("/api/v1/session", json={"name": "Anna Lab", "password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 301


def test_no_log_holds_passwords_or_what_was_searched_for(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="httpx2")  # the client's own log
    log_in(client)
    client.post("/api/v1/session", json={"name": "Anna Lab", "password": "Doe-wrong-password"})
    client.get("/api/v1/slides?text=Doe-Jane")
    client.get("/api/v1/slides?after=Doe-Jane")
    client.get("/Doe-Jane")
    assert "Doe" not in caplog.text
    assert PASSWORD not in caplog.text


def test_a_damaged_users_file_lets_nobody_in_and_is_not_named(lab: Lab, client: TestClient) -> None:
    log_in(client)
    users_file = lab.folder.parent / "users.json"
    users_file.write_text("{")
    for answer in (client.get("/api/v1/slides"), client.post("/api/v1/session", json={"name": "Anna Lab"})):
        assert (answer.status_code, answer.json()["type"]) == (500, "/problems/failed")
        assert "users.json" not in answer.text


def test_nobody_logs_in_where_nobody_has_to(open_client: TestClient) -> None:
    answer = open_client.post("/api/v1/session", json={"name": "Anna", "password": PASSWORD})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/not-allowed")
    me = open_client.get("/api/v1/session", headers=ANNA).json()
    assert (me["name"], me["role"], me["login"]) == ("Anna Lab", "reviewer", False)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "", "[::1]evil.example"]
)
def test_a_foreign_name_that_leads_here_is_refused(open_client: TestClient, host: str) -> None:
    answer = open_client.get("/api/v1/slides", headers={"Host": host})
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/bad-host")


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "LOCALHOST", "[::1]:8765"])
def test_this_machines_own_names_are_answered(open_client: TestClient, host: str) -> None:
    assert open_client.get("/api/v1/slides", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP"])
def test_an_open_server_answers_to_no_proxy(open_client: TestClient, header: str) -> None:
    answer = open_client.get("/api/v1/slides", headers={header: "192.0.2.1"})
    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/behind-proxy")


@pytest.mark.parametrize(
    ("method", "headers", "is_refused"),
    [
        ("POST", {"Origin": "https://evil.example"}, True),
        ("POST", {"Origin": "null"}, True),
        ("POST", {"Origin": HERE}, False),
        ("POST", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        ("POST", {"Sec-Fetch-Site": "same-site"}, True),
        ("POST", {"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.proxy"}, False),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, False),
        ("GET", {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, False),
        ("GET", {"Origin": "https://evil.example"}, False),
    ],
)
def test_other_sites_pages_get_nothing_done(
    open_client: TestClient, method: str, headers: dict[str, str], is_refused: bool
) -> None:
    body: dict[str, object] | None = {} if method == "POST" else None
    path = "/api/v1/retry" if method == "POST" else "/api/v1/slides"
    answer = open_client.request(method, path, json=body, headers={**ANNA, **headers})
    assert (answer.status_code == 403) is is_refused
    assert (answer.json().get("type") == "/problems/foreign-origin") is is_refused


def test_a_form_of_another_site_is_no_json(open_client: TestClient) -> None:
    answer = open_client.post(
        "/api/v1/reviews", content='{"changes": []}', headers={**ANNA, "Content-Type": "text/plain"}
    )
    assert answer.status_code == 422


def test_every_answer_has_the_headers_that_protect_a_browser(open_client: TestClient) -> None:
    for path in ("/healthz", "/api/v1/slides", "/api/v1/slides/99", "/nowhere", "/metrics"):
        answer = open_client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
    for answer in (
        open_client.get("/healthz", headers={"Host": "evil.example"}),
        open_client.post("/api/v1/reviews", content=b"x" * (LARGEST_BODY + 1)),
    ):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_a_body_too_large_is_refused_whether_its_length_is_told_or_not(open_client: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(LARGEST_BODY // 1000 + 2):
            yield b" " * 1000

    told = open_client.post("/api/v1/reviews", content=b" " * (LARGEST_BODY + 1), headers=ANNA)
    untold = open_client.post("/api/v1/reviews", content=parts(), headers={**ANNA, "Content-Type": "application/json"})
    for answer in (told, untold):
        assert (answer.status_code, answer.json()["status"]) == (413, 413)
        assert answer.headers["content-type"] == "application/problem+json"
    allowed = open_client.post("/api/v1/reviews", content=b" " * LARGEST_BODY, headers=ANNA)
    assert allowed.status_code == 422


def test_an_unforeseen_error_says_and_logs_no_values(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patient = "Doe, Jane"

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(patient)

    monkeypatch.setattr("smearcount.web.api.health.require_current", fails)
    with lab.client() as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (500, 500)
    assert "Doe" not in answer.text + caplog.text
    assert "RuntimeError in GET /readyz" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"
