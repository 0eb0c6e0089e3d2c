"""What the pages say, who may read them, and that nothing in them can do harm; asked without a browser."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from starlette.testclient import TestClient

from smearcount.db.engine.database import Database
from smearcount.db.ingest import inbox_registry
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.forms.wording import distinct, printable
from smearcount.web.auth.users import Role, Users
from smearcount.web.pages import assets
from smearcount.web.pages.parts import gallery
from smearcount.web.pages.routes import MODULES
from smearcount.web.settings import WebSettings

from support.serving import ANNA, BERTA, Lab, make_lab

PAGES = ("/", "/slides/1", "/slides/1/report", "/cells/1", "/trends", "/system", "/system/checks", "/help")
BROWSER = {"Accept": "text/html"}

#: Names that would be markup, an attribute or a script if anything forgot to escape them.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }} &lt;b&gt; ä\N{RIGHT-TO-LEFT OVERRIDE}",
)


class Reader(HTMLParser):
    """Reads a page and notes what a strict policy forbids, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        given = dict(attrs)
        self.tags.add(tag)
        self.attributes |= {f"{tag} {name}" for name in given}
        self.addresses += [value or "" for name, value in attrs if name in {"href", "src", "action"}]
        if tag == "style" or (tag == "script" and not given.get("src")) or "style" in given:
            self.forbidden.append(self.get_starttag_text() or tag)
        self.forbidden += [f"{tag} {name}" for name in given if name.startswith("on")]
        if (given.get("href") or "").lower().lstrip().startswith(("javascript:", "data:")):
            self.forbidden.append(self.get_starttag_text() or tag)

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    return make_lab(sqlite_database, tmp_path / "inbox")


@pytest.fixture
def client(lab: Lab) -> Iterator[TestClient]:
    with lab.client() as client:
        client.headers.update(BROWSER)
        yield client


def read(client: TestClient, path: str) -> Reader:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text)
    return Reader(answer.text)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_holds_nothing_inline_and_nothing_from_elsewhere(lab: Lab, client: TestClient, path: str) -> None:
    lab.add_slide("S1", unidentified=1, damaged=1)
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    page = Reader(answer.text)
    assert page.forbidden == []
    assert all(address.startswith(("/", "?", "#")) for address in page.addresses), page.addresses
    assert "Research use only until validated on site." in page.text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text_wherever_they_stand(lab: Lab, client: TestClient, name: str) -> None:
    usual = name.replace("/", "|")  # in a folder's name; the comment keeps its own
    ids = lab.add_slide("harmless", damaged=1)
    pages = ("/", "/slides/1", "/slides/1/report", f"/cells/{ids[0]}", f"/cells/{ids[-1]}", "/system")
    shape = {path: (read(client, path).tags, read(client, path).attributes) for path in pages}
    folder = lab.folder / usual
    folder.mkdir()
    ids = lab.add_slide(usual, damaged=1)
    change = {"changes": [{"cell": ids[0], "class": "ig"}], "reason": name}
    who = {"X-Reviewer": "%3Cb%3EAda%3C%2Fb%3E"}
    assert client.post("/api/v1/reviews", json=change, headers=who).status_code == 201
    assert client.post("/api/v1/slides/2/comments", json={"text": name}, headers=who).status_code == 201
    assert (
        client.post("/api/v1/slides/2/sign-off", json={"comment": name, "seen_review": 1}, headers=who).status_code
        == 201
    )
    for path in pages:
        there = path.replace("slides/1", "slides/2")
        if path.startswith("/cells/"):
            there = f"/cells/{ids[0] if path.endswith('/1') else ids[-1]}"
        page = read(client, there)
        assert page.forbidden == [], there
        assert page.tags - shape[path][0] <= {"q", "b", "time", "br", "td", "th", "tr", "ul", "li"}, there
        assert not [one for one in page.attributes if one.split()[1].startswith("on")], there
    assert distinct(usual) in read(client, "/").text
    assert name in read(client, "/slides/2").text
    assert read(client, "/slides/2/report").text.count(f": {printable(name)}") == 3
    assert "<b>Ada</b>" in read(client, f"/cells/{ids[0]}").text


@pytest.mark.parametrize("text", HOSTILE)
def test_what_was_searched_for_is_text_again(lab: Lab, client: TestClient, text: str) -> None:
    lab.add_slide("S1")
    answer = client.get("/", params={"text": text, "status": "", "flag": ""})
    assert answer.status_code == 200
    page = Reader(answer.text)
    assert page.forbidden == []
    assert "No slide here" in page.text


def test_all_slides_are_on_one_page_or_another(lab: Lab, client: TestClient) -> None:
    for number in range(7):
        lab.add_slide(f"S{number}")
    seen: list[str] = []
    path: str | None = "/?limit=3"
    while path is not None:
        text = client.get(path).text
        seen += re.findall(r'<tr id="slide-\d+">\s*<th scope="row"><a href="/slides/\d+">(S\d)</a>', text)
        following = re.search(r'rel="next" href="(\?[^"]+)"', text)
        path = "/" + following[1].replace("&amp;", "&") if following else None
    assert seen == [f"S{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("status=counting", {"new"}),
        ("status=complete&flag=unidentified", {"odd"}),
        ("review=any", {"odd", "usual"}),
        ("review=unidentified&flag=", {"odd"}),
        ("text=OD", {"odd"}),
        ("since=&until=&text=&status=&flag=&review=", {"odd", "new", "usual"}),
        ("since=2999-01-01", set()),
    ],
)
def test_slides_are_filtered_as_the_form_asks(lab: Lab, client: TestClient, query: str, names: set[str]) -> None:
    lab.add_slide("odd", unidentified=2)
    lab.add_slide("usual")
    lab.add_slide("new", is_complete=False)
    assert set(re.findall(r'<a href="/slides/\d+">(\w+)</a>', client.get(f"/?{query}").text)) == names


def test_pages_say_why_a_slide_asks_for_a_person_until_it_is_signed(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1")
    for path in ("/", "/slides/1"):
        text = read(client, path).text.casefold()
        assert "10 wbc counted, fewer than 100" in text, path
        assert "1 nrbc seen" in text, path

    assert client.post("/api/v1/slides/1/sign-off", json={"seen_review": 0}, headers=ANNA).status_code == 201
    for path in ("/", "/slides/1"):
        assert "fewer than 100" not in read(client, path).text, path


def test_a_percentage_that_cannot_be_told_from_normal_is_neither_high_nor_low(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S1", [CellClass.NEUTROPHIL] * 80 + [CellClass.LYMPHOCYTE] * 20)
    for path in ("/", "/slides/1", "/slides/1/report"):
        text = client.get(path).text
        assert "◇" in text, path
        assert "cannot be told from normal with 100 cells" in text, path
    assert "▼" in client.get("/slides/1/report").text, "no monocyte among 100"


def test_both_counts_stand_beside_each_other_and_what_changed_is_marked(lab: Lab, client: TestClient) -> None:
    ids = lab.add_slide("S1")
    assert "changed in review" not in client.get("/slides/1").text
    client.post("/api/v1/reviews", json={"changes": [{"cell": ids[0], "class": "monocyte"}]}, headers=ANNA)
    text = client.get("/slides/1").text
    rows = dict(re.findall(r'<tr data-drop="(\w+)"( class="changed")?>', text))
    assert {name for name, changed in rows.items() if changed} == {"neutrophil", "monocyte"}
    assert set(rows) == {one.value for one in ReviewClass}
    assert "✎ was Neu" in text


def test_the_gallery_shows_what_is_asked_for_page_by_page(
    lab: Lab, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = lab.add_slide("S1", unidentified=2, damaged=1)

    def shown(query: str) -> list[int]:
        return [int(one) for one in re.findall(r'data-cell="(\d+)"', client.get(f"/slides/1{query}").text)]

    assert sorted(shown("")) == ids[:-1]
    assert shown("?show=unidentified") == shown("?below=50") == ids[-3:-1]
    assert shown("?show=quarantined") == []
    assert "the image is truncated" in client.get("/slides/1?show=quarantined").text
    assert shown("?show=reviewed") == []
    monkeypatch.setattr(gallery, "MOST", 5)
    every: list[int] = []
    query = "?below="
    while query:
        every += shown(query)
        following = re.search(r'rel="next" href="(\?[^"]+)"', client.get(f"/slides/1{query}").text)
        query = following[1].replace("&amp;", "&") if following else ""
    assert sorted(every) == ids[:-1]
    assert len(every) == len(set(every))


def test_news_hold_what_a_page_did_not_know(lab: Lab, client: TestClient) -> None:
    ids = lab.add_slide("S1")
    before = client.get("/slides/1/news").json()
    assert (before["reviews"], before["last_review"]) == ([], 0)
    change = {"changes": [{"cell": ids[0], "class": "ig"}, {"cell": ids[1], "class": "ig"}]}
    done = client.post("/api/v1/reviews", json=change, headers=ANNA).json()["reviews"]
    after = client.get("/slides/1/news").json()
    assert after["reviews"] == done
    assert after["images"] == before["images"]
    assert client.get(f"/slides/1/news?seen={done[0]['id']}").json()["reviews"] == done[1:]
    assert client.get(f"/slides/1/news?seen={done[1]['id']}").json()["reviews"] == []
    assert 'id="differential"' in after["html"]
    lab.write("S1", {"late.jpg": b"something"})
    assert client.get("/slides/1/news").json()["images"] != before["images"]


def test_the_answer_to_a_change_brings_its_page_up_to_date(lab: Lab, client: TestClient) -> None:
    ids = lab.add_slide("S1")

    def send(action: str, body: object, seen: int) -> dict[str, Any]:
        answer = client.post(f"/slides/1/{action}?seen={seen}", json=body, headers=ANNA)
        assert answer.status_code == 201, answer.text
        update: dict[str, Any] = answer.json()
        # It is what a page would read now, but for the name of the own action.
        assert update | {"action": None} == client.get(f"/slides/1/news?seen={seen}").json()
        return update

    first = send("reviews", {"changes": [{"cell": ids[0], "class": "ig"}, {"cell": ids[1], "class": "ig"}]}, seen=0)
    assert [review["cell"] for review in first["reviews"]] == ids[:2]
    assert {review["action"] for review in first["reviews"]} == {first["action"]}
    assert 'data-last-review="2" data-last-event="0"' in first["html"]

    theirs = {"changes": [{"cell": ids[2], "class": "monocyte"}]}
    client.post("/api/v1/reviews", json=theirs, headers=BERTA).raise_for_status()
    undone = send("undo", None, seen=2)
    # What somebody else did meanwhile is in it too, and told from the own reviews.
    assert [review["reviewer"] for review in undone["reviews"]] == ["Berta", "Anna Lab", "Anna Lab"]
    assert [review["action"] == undone["action"] for review in undone["reviews"]] == [False, True, True]
    assert undone["last_review"] == 5

    assert 'data-last-event="1"' in send("comments", {"text": "well stained"}, seen=5)["html"]
    signed = send("sign-off", {"seen_review": 5}, seen=5)
    assert 'data-status="signed" data-last-review="5" data-last-event="2"' in signed["html"]
    assert (signed["reviews"], signed["action"]) == ([], None)
    assert 'data-status="complete"' in send("reopen", {"reason": "one more look"}, seen=5)["html"]


def test_what_a_page_sends_is_refused_as_by_the_api(lab: Lab, client: TestClient) -> None:
    ids = lab.add_slide("S1")
    client.headers["Accept"] = "application/json"  # as the page's script sends it
    change = {"changes": [{"cell": ids[0], "class": "ig"}]}
    assert client.post("/slides/1/reviews", json=change, headers=ANNA).status_code == 201
    late = client.post("/slides/1/reviews", json=change, headers=BERTA)
    assert (late.status_code, late.headers["content-type"]) == (409, "application/problem+json")
    assert [review["reviewer"] for review in late.json()["conflicts"][0]["reviews"]] == ["Anna Lab"]
    assert client.post("/slides/77/comments", json={"text": "x"}, headers=ANNA).status_code == 404
    assert client.post("/slides/1/undo").json()["type"] == "/problems/bad-name"


def test_a_browser_is_shown_a_page_of_what_went_wrong_and_a_program_json(lab: Lab, client: TestClient) -> None:
    del lab
    for path, status in (("/slides/77", 404), ("/nowhere", 404), ("/slides/x", 422), ("/?sort=odd", 422)):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), path
        assert Reader(answer.text).forbidden == []
        assert client.get(path, headers={"Accept": "*/*"}).json()["status"] == status
    assert client.get("/api/v1/slides/77").json()["type"] == "/problems/unknown-slide"


def test_every_page_leads_to_the_login_and_from_there_back(lab: Lab, tmp_path: Path) -> None:
    lab.add_slide("S1")
    users = Users(tmp_path / "users.json")
    users.set("Vera", Role.VIEWER, "Vera has a secret")
    with lab.client() as client:
        client.headers.update(BROWSER)
        routes = [route for module in MODULES for route in module.router.routes]
        paths = [route.path.format(slide_id=1, cell_id=1, delivery_id=1) for route in routes]
        paths.remove("/login")
        assert set(PAGES) <= set(paths)
        for path in paths:
            answer = client.get(path)
            assert answer.status_code == 303, path
            assert answer.headers["location"] == f"/login?next={path}"
            assert "S1" not in answer.text
        assert client.get("/?text=a b&status=").headers["location"] == "/login?next=/%3Ftext%3Da%2520b%26status%3D"
        login = read(client, "/login")
        assert login.forbidden == []
        client.post("/api/v1/session", json={"name": "Vera", "password": "Vera has a secret"})
        page = client.get("/slides/1").text
        assert 'name="csrf-token"' in page
        # A viewer is offered nothing that would be refused.
        for control in ("data-call", 'id="sign"', 'id="undo"', 'id="comment"', 'draggable="true"', "data-reviews"):
            assert control not in page


def test_a_program_is_not_led_to_a_login_page(lab: Lab, tmp_path: Path) -> None:
    Users(tmp_path / "users.json").set("Vera", Role.VIEWER, "Vera has a secret")
    with lab.client() as client:
        assert client.get("/api/v1/slides").status_code == 401


def test_nobody_logs_in_where_nobody_has_to(client: TestClient) -> None:
    assert client.get("/login").headers["location"] == "/"


def test_names_to_choose_from_are_offered(lab: Lab) -> None:
    with lab.client(WebSettings(web_reviewers=("A. Lab", "<b>"))) as client:
        page = client.get("/").text
    assert '<option value="A. Lab">' in page
    assert '<option value="&lt;b&gt;">' in page


def test_assets_are_kept_by_the_browser_and_nothing_else_is_served(client: TestClient) -> None:
    for name, media_type in (("style.css", "text/css"), ("js/slide.js", "javascript"), ("icon.svg", "image/svg+xml")):
        answer = client.get(f"{assets.prefix()}/{name}")
        assert answer.status_code == 200
        assert media_type in answer.headers["content-type"]
        assert "immutable" in answer.headers["cache-control"]
    assert client.get("/static/0123456789abcdef/style.css").status_code == 404
    assert client.get(f"{assets.prefix()}/..%2f..%2fsettings.py").status_code == 404
    assert client.get(f"{assets.prefix()}/").status_code == 404


def test_every_script_that_is_imported_is_there() -> None:
    scripts = {file.name: file.read_text() for file in (assets.FOLDER / "js").glob("*.js")}
    assert scripts
    for name, text in scripts.items():
        for imported in re.findall(r'from "\./([^"]+)"', text):
            assert imported in scripts, f"{name} imports {imported}"
        # Text is set as text; markup comes from the server alone, parsed apart from the page.
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), name


def test_a_page_asks_the_database_as_often_for_many_lines_as_for_one(lab: Lab, client: TestClient) -> None:
    lab.add_slide("S0", unidentified=1, damaged=1)
    statements: list[str] = []
    event.listen(lab.database.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))

    def queries(path: str) -> int:
        client.get(path)
        statements.clear()
        assert client.get(path).status_code == 200
        return len(statements)

    paths = ("/", "/slides/1", "/slides/1/news", "/slides/1/report", "/trends", "/system")
    few = [queries(path) for path in paths]
    for number in range(1, 12):
        lab.add_slide(f"S{number}", damaged=2)
    lab.write("S0", {})
    assert [queries(path) for path in paths] == few
    assert queries("/slides/12") == few[1]


def test_names_that_look_alike_are_told_apart_on_every_page(lab: Lab, client: TestClient) -> None:
    names = {"S-60": "S-60", "S-60 ": r"S-60\x20", "Müller": "Müller", "Mu\u0308ller": r"Mu\xcc\x88ller"}
    for number, (name, shown) in enumerate(names.items(), start=1):
        *_, damaged = lab.add_slide(name, damaged=1)
        for page in (f"/slides/{number}", f"/slides/{number}/report", f"/cells/{damaged}"):
            assert shown in read(client, page).text, page

    for page in ("/", "/system"):
        text = read(client, page).text
        assert all(shown in text for shown in names.values()), page
        assert "Mu\u0308ller" not in text


def test_the_system_page_says_what_was_ignored(lab: Lab, client: TestClient) -> None:
    ignored = {".webp": 400, ".xml": 12}
    inbox_registry.note_watch(lab.database, lab.inbox_id, arriving=0, is_whole_scan=True, ignored=ignored)

    assert "412 .webp 400, .xml 12" in " ".join(read(client, "/system").text.split())
