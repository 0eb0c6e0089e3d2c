"""HEAD, prefixes of proxies, the index, the description for people, and errors with a way on."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from smearcount.db.engine.database import Database
from smearcount.web.auth.users import Role, Users
from smearcount.web.links import SCOPE_KEY, is_prefix
from smearcount.web.server.proxies import TrustedPrefix
from smearcount.web.settings import WebSettings

from support.serving import Lab, make_lab

BROWSER = {"Accept": "text/html"}
PASSWORD = "correct horse battery"  # noqa: S105 (of a test)
PAGES = ("/", "/slides/1", "/slides/1/report", "/cells/1", "/trends", "/system", "/system/checks", "/help", "/docs")


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    lab = make_lab(sqlite_database, tmp_path / "inbox")
    lab.add_slide("S1", unidentified=1, damaged=1)
    return lab


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    with lab.client() as client:
        yield client


@pytest.fixture
def prefixed(lab: Lab) -> Iterator[TestClient]:
    """A client of a server that a proxy shows under /lab/smears."""
    with lab.client(WebSettings(web_root_path="/lab/smears/")) as client:
        yield client


def test_every_get_answers_to_head_with_its_headers_alone(client: TestClient) -> None:
    paths = [
        path.replace("{slide_id}", "1").replace("{cell_id}", "1").replace("{kind}", "signed")
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        if "get" in operations and not path.endswith("/changes")
    ]
    assert len(paths) > 15
    for path in (*paths, *PAGES, "/openapi.json", "/nowhere"):
        asked, told = client.get(path), client.head(path)
        assert (told.status_code, told.content) == (asked.status_code, b""), path
        assert told.headers["content-type"] == asked.headers["content-type"], path
        assert told.headers["content-security-policy"]


def test_head_of_a_stream_ends_at_once(client: TestClient) -> None:
    told = client.head("/api/v1/changes")
    assert told.headers["content-type"].startswith("text/event-stream")
    assert "smearcount_listeners 0.0" in client.get("/metrics").text


def test_a_method_that_is_not_allowed_names_head_too(client: TestClient) -> None:
    assert client.delete("/api/v1/slides").headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("below", ["", "/lab/smears"], ids=["taken away by the proxy", "left in the path"])
@pytest.mark.parametrize("path", PAGES)
def test_every_link_of_a_page_leads_below_the_prefix(prefixed: TestClient, path: str, below: str) -> None:
    answer = prefixed.get(below + path, headers=BROWSER)

    assert answer.status_code == 200
    found = re.findall(r' (?:href|src|action)="(/[^"]*)"', answer.text)
    assert found
    for address in found:
        assert address.startswith("/lab/smears/"), address
        inner = address.removeprefix("/lab/smears").partition("#")[0].replace("&amp;", "&")
        assert prefixed.get(inner, headers=BROWSER).status_code == 200, address


def test_paths_that_the_api_gives_lead_below_the_prefix(prefixed: TestClient) -> None:
    cell = prefixed.get("/api/v1/cells/1").json()
    assert cell["image"] == "/lab/smears/api/v1/cells/1/image"
    link = prefixed.get("/api/v1/slides/1/cells?limit=1").headers["link"]
    assert link.startswith("</lab/smears/api/v1/slides/1/cells?")
    assert prefixed.get("/api/v1").json()["description"] == "/lab/smears/openapi.json"


def test_the_login_is_below_the_prefix_and_leads_back_there(lab: Lab, tmp_path: Path) -> None:
    Users(tmp_path / "users.json").set("Anna", Role.REVIEWER, PASSWORD)
    with lab.client(WebSettings(web_root_path="/smears")) as client:
        away = client.get("/smears/slides/1?show=all", headers=BROWSER)
        assert away.status_code == 303
        assert away.headers["location"] == "/smears/login?next=/smears/slides/1%3Fshow%3Dall"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("", True), ("/smears", True), ("/lab/smears-2_x.y~", True), ("smears", False), ("//evil.example", False),
        ("/..", False), ("/a/../b", False), ("/.", False), ("/a/", False), ('/a"b', False), ("/a b", False),
        ("/a\r\nb", False), ("https://evil.example", False), ("/ä", False), ("/a\\b", False),
    ],
)  # fmt: skip
def test_what_can_be_a_prefix(text: str, is_one: bool) -> None:
    assert is_prefix(text) is is_one


@pytest.mark.parametrize(
    ("address", "header", "kept"),
    [
        ("127.0.0.1", b"/smears", "/smears"),
        ("127.0.0.1", b"/smears/", "/smears"),
        ("10.0.0.9", b"/smears", None),
        ("127.0.0.1", b"//evil.example", None),
        ("127.0.0.1", b"", None),
    ],
)
def test_the_header_of_a_trusted_proxy_alone_is_believed(address: str, header: bytes, kept: str | None) -> None:
    seen: list[Scope] = []

    async def application(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        return {}

    async def send(_: Message) -> None: ...

    scope = {"type": "http", "headers": [(b"x-forwarded-prefix", header)], "client": (address, 1234)}
    asyncio.run(TrustedPrefix(application, ("127.0.0.1",))(scope, receive, send))
    assert seen[0].get(SCOPE_KEY) == kept


def test_the_index_names_every_path(client: TestClient) -> None:
    index = client.get("/api/v1").json()
    assert {route["path"] for route in index["routes"]} == set(client.get("/openapi.json").json()["paths"])
    assert client.get(index["documentation"], headers=BROWSER).status_code == 200


def test_the_description_for_people_names_every_operation_and_object(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    text = client.get("/docs", headers=BROWSER).text
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"<b>{method.upper()}</b> <code>{path}</code>" in text
    for name, schema in document["components"]["schemas"].items():
        if "properties" in schema:
            assert f"<code>{name}</code>" in text
    assert "http" not in {address.partition(":")[0] for address in re.findall(r'(?:href|src)="([^"]*)"', text)}


def test_an_error_page_leads_on_for_who_is_logged_in_and_shows_others_nothing(lab: Lab, tmp_path: Path) -> None:
    Users(tmp_path / "users.json").set("Anna", Role.REVIEWER, PASSWORD)
    with lab.client() as client:
        stranger = client.get("/nowhere", headers=BROWSER)
        client.post("/api/v1/session", json={"name": "Anna", "password": PASSWORD})
        known = client.get("/nowhere", headers=BROWSER)
    assert stranger.status_code == known.status_code == 404
    assert 'href="/trends"' not in stranger.text
    assert all(f'href="{path}"' in known.text for path in ("/", "/trends", "/system", "/help"))
