"""The pages in a real browser: looking, correcting and signing as a technologist does.

The real commands serve where a slide arrives, people log in or time is measured; elsewhere a thread serves the real application.
"""

import csv
import io
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import APIResponse, Route, expect
from sqlalchemy import insert

from smearcount.cli.simulation.export import write_exports
from smearcount.db.engine.database import Database
from smearcount.db.queries.cells import cell, cells
from smearcount.db.queries.slides import SlideFilter, SlideSummary, slide, slide_page
from smearcount.db.review.history import history
from smearcount.db.review.sign_off import slide_events
from smearcount.db.schema import Classification, Image, ImageState, Slide
from smearcount.differential.classes import CellClass, ReviewClass
from smearcount.differential.flags import slide_flags
from smearcount.differential.settings import CountSettings
from smearcount.differential.signing.policy import SignOffSettings
from smearcount.differential.status import Status
from smearcount.web.auth.users import Role, Users
from smearcount.web.settings import USERS_FILE

from support.browsing import LARGE, SMALL, Chromium, Visitor, chromium, measured, serve
from support.exports import drop
from support.running import Smearcount
from support.serving import MIXED, Lab, make_lab, served
from support.waiting import wait_until

#: What people wait for, in seconds, where nobody else needs the processor. The pages take a third of it or less.
AT_ONCE = 3.0

PAGES = ("/", "/slides/1", "/cells/1", "/trends", "/system", "/system/checks", "/help", "/slides/1/report")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("screenshots")) as opened:
        yield opened


@pytest.fixture
def lab(sqlite_database: Database, tmp_path: Path) -> Lab:
    """An inbox and a database in which tests put what a worker would have."""
    return make_lab(sqlite_database, tmp_path / "inbox")


@pytest.fixture
def address(lab: Lab) -> Iterator[str]:
    """The real application over the lab's database, with the policy for signatures that is in force unless a site changes it."""
    with served(lab, sign_off=SignOffSettings()) as at:
        yield at


@pytest.fixture
def process_address(smearcount: Smearcount, sqlite_url: str) -> str:
    """A real web server over the lab's database, in a process of its own."""
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = sqlite_url
    return serve(smearcount)


@pytest.fixture
def counted(smearcount: Smearcount, inbox: Path) -> str:
    """A real web server beside a real watcher and worker; they have counted one slide of drawn cells."""
    smearcount.environment["SMEARCOUNT_WEB"] = "false"  # `web` is started by itself, to know where it is
    write_exports(inbox, slides=1, cells=60, seed=11, source=None, composition=None)
    drop(inbox, {"slide-001/broken.jpg": b"\xff\xd8\xff not much of an image"})
    smearcount.start("up", inbox, "--workers", "1")
    wait_until(lambda: smearcount.is_counted(61), what="the first slide")
    return serve(smearcount)


def opened(smearcount: Smearcount) -> Database:
    """Open the database that the processes use."""
    own = f"sqlite:///{smearcount.data / 'smearcount.db'}"
    return Database(smearcount.environment.get("SMEARCOUNT_DATABASE_URL") or own)


def fetched(address: str, path: str) -> str:
    """Return what the server answers to a program."""
    answer = httpx2.get(address.rstrip("/") + path)
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_slide_arrives_is_corrected_by_keyboard_and_signed(
    browser: Chromium, counted: str, smearcount: Smearcount, inbox: Path, tmp_path: Path
) -> None:
    write_exports(tmp_path / "later", slides=1, cells=40, seed=12, source=None, composition=None)
    with browser.visitor(counted) as anna:
        anna.go_live("/")
        rows = anna.page.locator("#slides tbody tr")
        assert rows.count() == 1
        shutil.copytree(tmp_path / "later" / "slide-001", inbox / "slide-002")
        # Nobody reloads: the slide appears by itself, and then its count does.
        arrived = anna.page.locator("#slide-2")
        arrived.wait_for()
        arrived.locator(".status-complete").wait_for(timeout=60_000)
        assert rows.count() == 2
        browser.keep(anna, "slides-light-small")

        anna.page.locator("#slide-2 a").focus()
        anna.press("Enter")
        anna.page.wait_for_url("**/slides/2")
        anna.page.wait_for_selector('#live[data-state="on"]')
        before = {one: anna.count(one) for one in ReviewClass}
        first, second, third = _first_cells(anna, 3)
        anna.press("ArrowRight", "3")
        anna.introduce("Anna Lab")
        anna.page.wait_for_selector(f'.group[data-class="monocyte"] #cell-{first[0]}')
        anna.press("6", "0")
        anna.page.wait_for_selector(f'.group[data-class="ig"] #cell-{second[0]}')
        anna.page.wait_for_selector(f'#cell-{third[0]}[data-by="Anna Lab"]')
        anna.press("z")
        anna.page.wait_for_selector(f'#cell-{third[0]}[data-by=""]')

        expected = dict(before)
        for (_, was), now in ((first, ReviewClass.MONOCYTE), (second, ReviewClass.IG)):
            expected[was] -= 1
            expected[now] += 1
        anna.page.wait_for_selector('#headline[data-last-review="4"]')
        assert {one: anna.count(one) for one in ReviewClass} == expected
        browser.keep(anna, "slide-reviewed-light-small")

        anna.press("s")
        anna.page.wait_for_selector("#sign-dialog[open]")
        anna.acknowledge()
        anna.page.fill("#sign-dialog [name=comment]", "two cells called otherwise")
        anna.press("Enter")
        anna.page.wait_for_selector('#headline[data-status="signed"]')
        browser.keep(anna, "slide-signed-light-small")

    with opened(smearcount) as database:
        found = slide(database, 2)
        assert (found.status, found.signed_by, found.reviewed_cells) == (Status.SIGNED, "Anna Lab", 2)
        assert [review.became for review in history(database, first[0])] == [ReviewClass.MONOCYTE]
        assert [review.became for review in history(database, third[0])] == [ReviewClass.UNIDENTIFIED, third[1]]
        _exports_agree(counted, found)


def _first_cells(visitor: Visitor, count: int) -> list[tuple[int, ReviewClass]]:
    """Return the first cells of the gallery and the classes they are in."""
    found = [(one, code) for code in ReviewClass for one in visitor.cells(code)]
    order = visitor.page.eval_on_selector_all(".cell", "cells => cells.map((cell) => Number(cell.dataset.cell))")
    classes = dict(found)
    return [(one, classes[one]) for one in order[:count]]


def _exports_agree(address: str, found: SlideSummary) -> None:
    """Check that every form of export says what the database says."""
    result: Any = json.loads(fetched(address, "/api/v1/slides/2/export?form=json"))
    assert (result["status"], result["signed_by"], result["reviewed_cells"]) == ("signed", "Anna Lab", 2)
    assert result["reviewed"]["cells"] == {one.value: count for one, count in found.reviewed.cells.items()}
    assert result["automatic"]["cells"] == {one.value: count for one, count in found.automatic.cells.items()}

    table = csv.DictReader(io.StringIO(fetched(address, "/api/v1/slides/2/export?form=csv")))
    counts = {(row["calls"], row["class"]): int(row["count"]) for row in table}
    for one in CellClass:
        assert counts["reviewed", one] == found.reviewed.cells[one]
        assert counts["automatic", one] == found.automatic.cells[one]

    bundle: Any = json.loads(fetched(address, "/api/v1/slides/2/export?form=fhir"))
    resources = [entry["resource"] for entry in bundle["entry"]]
    (diagnosis,) = [one for one in resources if one["resourceType"] == "DiagnosticReport"]
    assert diagnosis["status"] == "final"
    hl7 = fetched(address, "/api/v1/slides/2/export?form=hl7")
    assert "ORU^R01" in hl7
    assert "|F|" in next(line for line in hl7.split("\r") if line.startswith("OBX"))


def test_two_people_who_call_the_same_cell_both_see_what_happened(browser: Chromium, lab: Lab, address: str) -> None:
    ids = lab.add_slide("S1")
    with browser.visitor(address) as anna, browser.visitor(address) as berta:
        for visitor in (anna, berta):
            visitor.go_live("/slides/1")
        # Berta does not hear of it in time: her connection is as slow as some are.
        berta.page.route("**/news?*", lambda _: None)
        anna.select(ids[0])
        anna.press("2")
        anna.introduce("Anna")
        anna.page.wait_for_selector(f'.group[data-class="lymphocyte"] #cell-{ids[0]}')
        berta.select(ids[0])
        berta.page.unroute("**/news?*")
        berta.press("3")
        berta.introduce("Berta")
        berta.page.wait_for_selector("#conflict-dialog[open]")
        told = berta.page.inner_text("#conflicts")
        assert told.startswith(f"Cell {ids[0]}: Anna called it Lymphocyte at")
        assert told.endswith("it was Neutrophil")
        browser.keep(berta, "conflict-light-small")
        # Nothing was written, and Berta now sees Anna's call.
        assert [review.reviewer for review in history(lab.database, ids[0])] == ["Anna"]
        assert ids[0] in berta.cells("lymphocyte")
        berta.page.click("#conflict-again")
        berta.page.wait_for_selector(f'.group[data-class="monocyte"] #cell-{ids[0]}')
        # Anna is told by name what became of her call, without doing anything.
        anna.page.get_by_text("Berta: 1 cell: Lymphocyte → Monocyte").wait_for()
        anna.page.wait_for_selector(f'.group[data-class="monocyte"] #cell-{ids[0]}')
        berta.expect_complaint("409")
    assert [(review.reviewer, review.was, review.became) for review in history(lab.database, ids[0])] == [
        ("Anna", ReviewClass.NEUTROPHIL, ReviewClass.LYMPHOCYTE),
        ("Berta", ReviewClass.LYMPHOCYTE, ReviewClass.MONOCYTE),
    ]


def reclassify(address: str, cell_id: int, cell_class: str) -> int:
    """Reclassify a cell as Berta at another machine, and return the id of the review."""
    change = {"changes": [{"cell": cell_id, "class": cell_class}]}
    answer = httpx2.post(f"{address.rstrip('/')}/api/v1/reviews", json=change, headers={"X-Reviewer": "Berta"})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["reviews"][0]["id"])


def shown_in(visitor: Visitor, cell_class: str, cell_id: int) -> None:
    """Wait until a page shows a cell in a class."""
    visitor.page.wait_for_selector(f'.group[data-class="{cell_class}"] #cell-{cell_id}')


def test_a_call_takes_one_request_and_its_own_event_none(browser: Chromium, lab: Lab, address: str) -> None:
    ids = lab.add_slide("S1")
    with browser.visitor(address) as anna:
        anna.go_live("/slides/1")
        anna.select(ids[0])
        anna.press("2")
        anna.introduce("Anna")
        shown_in(anna, "lymphocyte", ids[0])
        anna.wait_for_event(1, last_review=1)
        with anna.requests() as made:
            anna.select(ids[1])
            anna.press("3")
            shown_in(anna, "monocyte", ids[1])
            anna.page.wait_for_selector('#headline[data-last-review="2"]')
            assert (anna.count("monocyte"), anna.count("lymphocyte")) == (2, 4)
            anna.wait_for_event(1, last_review=2)
            anna.press("z")
            shown_in(anna, "neutrophil", ids[1])
            anna.wait_for_event(1, last_review=3)
            # The pages handle events one after the other: with Berta's call shown, those of Anna's own are dealt with.
            reclassify(address, ids[2], "basophil")
            shown_in(anna, "basophil", ids[2])
            anna.page.get_by_text("Berta: 1 cell: Neutrophil → Basophil").wait_for()
            anna.page.wait_for_selector('#headline[data-last-review="4"]')
            assert anna.count("basophil") == 1
        assert made == ["POST /slides/1/reviews", "POST /slides/1/undo", "GET /slides/1/news"]
        browser.keep(anna, "slide-one-request-light-small")


def test_a_comment_and_a_signature_take_one_request_each(browser: Chromium, lab: Lab, address: str) -> None:
    ids = lab.add_slide("S1")
    with browser.visitor(address) as anna:
        anna.go_live("/slides/1")
        with anna.requests() as made:
            anna.page.fill("#comment-text", "well stained")
            anna.press("Enter")
            anna.introduce("Anna")
            anna.page.get_by_text("well stained").wait_for()
            anna.page.keyboard.press("Tab")
            anna.select(ids[0])
            anna.sign()
            anna.page.wait_for_function("() => liveEvents.some(({ reviewed }) => reviewed[0]?.last_event === 2)")
            sent = httpx2.post(
                f"{address.rstrip('/')}/api/v1/slides/1/comments",
                json={"text": "seen"},
                headers={"X-Reviewer": "Berta"},
            )
            assert sent.status_code == 201
            anna.page.locator("#events").get_by_text("seen").wait_for()
        assert made == ["POST /slides/1/comments", "POST /slides/1/sign-off", "GET /slides/1/news"]


@pytest.mark.parametrize("is_first", [True, False])
def test_another_ones_change_at_the_same_moment_is_not_lost(
    browser: Chromium, lab: Lab, address: str, *, is_first: bool
) -> None:
    """Berta's call is stored just before or just after Anna's, whose answer comes after the events of both."""
    ids = lab.add_slide("S1")
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if is_first:
            reclassify(address, ids[1], "basophil")
        held.append((route, route.fetch()))
        if not is_first:
            reclassify(address, ids[1], "basophil")

    with browser.visitor(address) as anna:
        anna.go_live("/slides/1")
        anna.page.evaluate("localStorage.setItem('smearcount-reviewer', 'Anna')")
        anna.page.route("**/slides/1/reviews?*", hold)
        with anna.requests() as made:
            anna.select(ids[0])
            anna.press("3")
            anna.wait_for_event(1, last_review=2)
            assert made == ["POST /slides/1/reviews"], "events wait for the answer to the page's own change"
            # On a busy machine, the events of a stored call come before the answer. Playwright goes on only while it is asked.
            wait_until(lambda: anna.page.evaluate("true") and held, what="the answer")
            ((route, answer),) = held
            route.fulfill(response=answer)
            shown_in(anna, "monocyte", ids[0])
            shown_in(anna, "basophil", ids[1])
            anna.page.get_by_text("Berta: 1 cell: Neutrophil → Basophil").wait_for()
            anna.page.wait_for_selector('#headline[data-last-review="2"]')
            assert (anna.count("monocyte"), anna.count("basophil")) == (2, 1)
            # One more change from elsewhere: when it is shown, the page has dealt with all that came before.
            reclassify(address, ids[2], "basophil")
            shown_in(anna, "basophil", ids[2])
        # What was stored before Anna's call stands in the answer to it; what was stored after it is asked for.
        later = [] if is_first else ["GET /slides/1/news"]
        assert made == ["POST /slides/1/reviews", *later, "GET /slides/1/news"]


def test_an_answer_that_another_one_overtook_does_not_hide_a_change(browser: Chromium, lab: Lab, address: str) -> None:
    """What the page reads after Berta's call comes late: Anna's own change is answered before it."""
    ids = lab.add_slide("S1")
    held: list[tuple[Route, APIResponse]] = []

    def hold_first(route: Route) -> None:
        if held:
            route.continue_()
            return
        held.append((route, route.fetch()))
        anna.page.evaluate("window.isHeld = true")

    with browser.visitor(address) as anna:
        anna.go_live("/slides/1")
        anna.page.evaluate("localStorage.setItem('smearcount-reviewer', 'Anna')")
        anna.page.route("**/slides/1/news?*", hold_first)
        reclassify(address, ids[1], "basophil")
        anna.page.wait_for_function("() => window.isHeld")
        anna.select(ids[0])
        anna.press("3")
        anna.page.wait_for_selector('#headline[data-last-review="2"]')
        anna.wait_for_event(1, last_review=2)
        assert (anna.count("monocyte"), anna.count("basophil")) == (2, 1)
        with anna.requests() as made:
            ((route, answer),) = held
            # The page does not show the older state, but reads the slide once more.
            with anna.page.expect_request("**/slides/1/news?*"):
                route.fulfill(response=answer)
            assert (anna.count("monocyte"), anna.count("basophil")) == (2, 1)
            last = reclassify(address, ids[2], "basophil")
            anna.page.wait_for_selector(f'#headline[data-last-review="{last}"]')
        assert set(made) == {"GET /slides/1/news"}
        assert (anna.count("monocyte"), anna.count("basophil")) == (2, 2)


def test_what_stands_in_the_way_is_acknowledged_by_keyboard(browser: Chromium, lab: Lab, address: str) -> None:
    lab.add_slide("S1", unidentified=2, damaged=1)
    with browser.visitor(address) as anna:
        anna.page.add_init_script("localStorage.setItem('smearcount-reviewer', 'Anna')")
        anna.go_live("/slides/1")
        expect(anna.page.locator("#obstacles li")).to_have_count(3)
        anna.press("s")
        boxes = anna.page.locator("#sign-dialog [type=checkbox]")
        expect(boxes).to_have_count(3)
        browser.keep(anna, "slide-sign-obstacles-light-small")
        # The browser sends nothing until every box is ticked.
        with anna.requests() as made:
            anna.press("Space", "Enter")
            expect(boxes.nth(1)).to_be_focused()
        assert made == []
        anna.press("Space", "Tab", "Space", "Enter")
        anna.page.wait_for_selector('#headline[data-status="signed"]')
        anna.page.locator("#events").get_by_text("Acknowledged: 2 cells are unidentified").wait_for()
        expect(anna.page.locator("#obstacles")).to_be_hidden()
    (event,) = slide_events(lab.database, 1)
    assert [one["code"] for one in event.acknowledged] == ["unidentified", "few-wbc", "quarantined"]


def test_what_came_while_the_dialog_was_open_is_not_signed(browser: Chromium, lab: Lab, address: str) -> None:
    ids = lab.add_slide("S1")
    with browser.visitor(address) as anna:
        anna.page.add_init_script("localStorage.setItem('smearcount-reviewer', 'Anna')")
        anna.go_live("/slides/1")
        anna.press("s")
        anna.page.wait_for_selector("#sign-dialog[open]")
        reclassify(address, ids[0], "ig")
        anna.wait_for_event(1, last_review=1)
        anna.acknowledge()
        anna.press("Enter")
        anna.page.get_by_text("1 call changed by Berta; nothing was signed").wait_for()
        anna.page.wait_for_selector('#headline[data-status="complete"][data-last-review="1"]')
        anna.expect_complaint("409")
        # The page shows the new result, so the next signature is for that.
        anna.sign()
    assert slide(lab.database, 1).signed_by == "Anna"


def test_a_signed_slide_is_reopened_with_a_reason(browser: Chromium, lab: Lab, address: str) -> None:
    ids = lab.add_slide("S1")
    with browser.visitor(address) as anna:
        anna.go_live("/slides/1")
        anna.press("s")
        anna.introduce("Anna")
        anna.page.wait_for_selector("#sign-dialog[open]")
        anna.acknowledge()
        anna.press("Enter")
        anna.page.wait_for_selector('#headline[data-status="signed"]')
        anna.select(ids[0])
        anna.press("2")
        anna.page.get_by_text("The slide is signed").wait_for()
        anna.press("s")
        anna.page.fill("#reopen-dialog [name=reason]", "one more look")
        anna.press("Enter")
        anna.page.wait_for_selector('#headline[data-status="complete"]')
        assert "one more look" in anna.page.inner_text("#events")
        anna.press("2")
        anna.page.wait_for_selector(f'.group[data-class="lymphocyte"] #cell-{ids[0]}')
    assert slide(lab.database, 1).signed_by is None


def test_ranges_reasons_dragging_and_the_big_view(browser: Chromium, lab: Lab, address: str) -> None:
    lab.add_slide("S1", unidentified=2)
    with browser.visitor(address) as anna:
        anna.go_live("/slides/1")
        ids = anna.cells("neutrophil")
        anna.select(ids[0])
        anna.press("Shift+ArrowRight", "Shift+ArrowRight")
        assert anna.page.inner_text("#selection") == "3 selected"
        anna.page.fill("#reason", "bands")
        anna.press("Enter", "6")
        anna.introduce("Anna")
        anna.page.wait_for_selector(f'.group[data-class="ig"] #cell-{ids[2]}')
        assert set(anna.cells("ig")) == set(ids[:3])

        anna.page.drag_and_drop(f"#cell-{ids[3]}", 'tr[data-drop="basophil"]')
        anna.page.wait_for_selector(f'.group[data-class="basophil"] #cell-{ids[3]}')

        anna.select(ids[4])
        anna.press("Enter")
        anna.page.wait_for_selector(f'#big-view #cell[data-cell="{ids[4]}"]')
        assert anna.page.locator("#big-view .probabilities tr").count() == len(CellClass)
        anna.press("ArrowRight")
        anna.page.wait_for_selector(f'#big-view #cell[data-cell="{ids[5]}"]')
        anna.press("ArrowLeft")
        anna.page.wait_for_selector(f'#big-view #cell[data-cell="{ids[4]}"]')
        browser.keep(anna, "big-view-light-small")
        # A call in the big view goes on to the next cell, as it does in the gallery.
        anna.press("4")
        anna.page.wait_for_selector(f'#big-view #cell[data-cell="{ids[5]}"]')
        anna.press("z")
        anna.page.wait_for_selector(f'#big-view #cell[data-cell="{ids[4]}"]')
        anna.page.wait_for_selector("#big-view .events li:nth-child(3)")
        assert "undid" in anna.page.inner_text("#big-view .events")
        anna.press("Escape")
        anna.page.wait_for_selector("#big-view:not([open])", state="attached")
        assert anna.page.evaluate("document.activeElement.id") == f"cell-{ids[4]}"

        anna.select(ids[0])
        anna.press("a")
        anna.page.wait_for_selector(f'.group[data-class="neutrophil"] #cell-{ids[0]}')
        anna.press("?")
        anna.page.wait_for_selector("#keys[open]")
        anna.press("Escape")
    assert {review.reason for one in ids[:3] for review in history(lab.database, one)} == {"bands", None}
    assert cell(lab.database, ids[3]).reviewed is ReviewClass.BASOPHIL


def test_filters_show_what_is_asked_for(browser: Chromium, lab: Lab, address: str) -> None:
    lab.add_slide("S1", unidentified=2, damaged=1)
    with browser.visitor(address) as anna:
        anna.go_live("/slides/1")
        anna.page.select_option("[name=show]", "unidentified")
        expect(anna.page.locator(".cell")).to_have_count(2)
        assert anna.page.url.endswith("?show=unidentified")
        anna.page.select_option("[name=show]", "quarantined")
        anna.page.wait_for_selector(".files")
        assert "the image is truncated" in anna.page.inner_text(".files")
        anna.page.select_option("[name=show]", "all")
        expect(anna.page.locator(".cell")).to_have_count(14)
        anna.page.fill("[name=below]", "50")
        anna.press("Tab")
        expect(anna.page.locator(".cell")).to_have_count(2)


def test_no_page_makes_the_browser_complain(browser: Chromium, counted: str) -> None:
    for size, colours in product((SMALL, LARGE), ("light", "dark")):
        with browser.visitor(counted, size=size, colours=colours) as anna:
            for path in PAGES:
                anna.go(path)
                name = path.strip("/").replace("/", "-") or "slides"
                browser.keep(anna, f"page-{name}-{colours}-{'small' if size == SMALL else 'large'}")
                assert "Research use only until validated on site." in anna.page.inner_text("body"), path
                # Nothing is cut off or scrolls sideways.
                assert anna.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_the_report_fits_on_one_sheet_of_paper(browser: Chromium, lab: Lab, address: str) -> None:
    # Every class, so many cells that most are cut, and all the flags that go together.
    called = [one for one in CellClass for _ in range(60)]
    lab.add_slide("a slide with a name as long as analyzers make them " * 2, called, unidentified=40, damaged=2)
    with browser.visitor(address) as anna:
        anna.go("/slides/1/report")
        assert len(slide_flags(slide(lab.database, 1).reviewed, CountSettings())) >= 6
        sheet = anna.page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", sheet)) == 1
        assert anna.page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth)")
        (browser.artefacts / "report.pdf").write_bytes(sheet)


def test_a_file_gets_another_try_from_the_system_page(browser: Chromium, lab: Lab, address: str) -> None:
    lab.add_slide("S1", damaged=2)
    with browser.visitor(address) as anna:
        anna.go_live("/system")
        assert anna.page.locator("#quarantined tbody tr").count() == 2
        anna.page.click('#quarantined [data-retry="1"]')
        anna.introduce("Anna")
        anna.page.get_by_text("2 files get another try").wait_for()
        expect(anna.page.locator("#quarantined tbody")).to_have_count(0)
        anna.page.click("#look")
        anna.page.wait_for_selector("#checks td")
    assert slide(lab.database, 1).automatic.pending == 2


def test_people_log_in_and_only_reviewers_change_things(
    browser: Chromium, lab: Lab, smearcount: Smearcount, sqlite_url: str
) -> None:
    ids = lab.add_slide("S1")
    smearcount.environment["SMEARCOUNT_DATABASE_URL"] = sqlite_url
    for name, role in (("Anna", Role.REVIEWER), ("Vera", Role.VIEWER)):
        Users(smearcount.data / USERS_FILE).set(name, role, f"{name} has a secret")
    address = serve(smearcount)
    with browser.visitor(address) as anna, browser.visitor(address) as vera:
        for visitor, name in ((anna, "Anna"), (vera, "Vera")):
            visitor.page.goto(f"{visitor.address}/slides/1?show=all")
            visitor.page.wait_for_url("**/login?next=**")
            visitor.page.fill("[name=name]", name)
            visitor.page.fill("[name=password]", "wrong")
            visitor.press("Enter")
            visitor.page.wait_for_selector("#login-problem:not([hidden])")
            visitor.expect_complaint("401")
            visitor.page.fill("[name=password]", f"{name} has a secret")
            visitor.press("Enter")
            visitor.page.wait_for_url("**/slides/1?show=all")
            visitor.page.wait_for_selector('#live[data-state="on"]')
        vera.select(ids[0])
        vera.press("2")
        assert vera.page.locator("[data-call], #sign, #undo").count() == 0
        anna.select(ids[0])
        anna.press("2")
        vera.page.wait_for_selector(f'.group[data-class="lymphocyte"] #cell-{ids[0]}')
        anna.page.click("#log-out")
        anna.page.wait_for_url("**/login")
        anna.page.goto(f"{anna.address}/slides/1")
        anna.page.wait_for_url("**/login?next=**")
    assert [review.reviewer for review in history(lab.database, ids[0])] == ["Anna"]


def test_a_slide_of_two_thousand_cells_opens_at_once_and_scrolls(
    browser: Chromium, lab: Lab, process_address: str, record_property: Callable[[str, object], None]
) -> None:
    lab.add_slide("big", MIXED * (2000 // len(MIXED)) + MIXED[: 2000 % len(MIXED)])
    assert len(cells(lab.database, 1, limit=2000).cells) == 2000
    with browser.visitor(process_address, size=LARGE) as anna:
        shown, loaded = _best_opening(anna, "/slides/1")
        assert anna.page.locator(".cell").count() == 2000
        still, frames = _scrolled(anna)
        for _ in range(8):
            if frames["worst"] - still["worst"] >= 500:
                still, frames = _scrolled(anna)
        record_property("opening", f"{shown:.2f} s to the first paint, {loaded:.2f} s until usable")
        record_property("scrolling", str(frames))
        print(
            f"2,000 cells: painted {shown:.2f} s, interactive {loaded:.2f} s, scrolling {frames}, standing still {still}"
        )
        assert loaded < AT_ONCE
        assert frames["worst"] - still["worst"] < 500
        # A call on a slide of this size is shown as quickly.
        anna.select(anna.cells("neutrophil")[0])
        anna.press("3")
        anna.introduce("Anna")
        anna.page.wait_for_selector('.group[data-class="monocyte"] [data-by="Anna"]')
        called = math.inf
        for count in range(2, 10):
            if called >= AT_ONCE:
                with measured() as taken:
                    anna.press("3")
                    expect(anna.page.locator('.group[data-class="monocyte"] [data-by="Anna"]')).to_have_count(count)
                called = taken.undisturbed()
        print(f"one call: {called:.2f} s")
        assert called < AT_ONCE


def _best_opening(visitor: Visitor, path: str) -> tuple[float, float]:
    """Return the shortest times of some openings: what the page takes, not what else the machine does meanwhile."""
    times = [_opening(visitor, path) for _ in range(2)]
    while len(times) < 12 and min(loaded for _, loaded in times) >= AT_ONCE:
        times.append(_opening(visitor, path))
    return min(shown for shown, _ in times), min(loaded for _, loaded in times)


def _opening(visitor: Visitor, path: str) -> tuple[float, float]:
    """Open a page and return after how many seconds something was to be seen, and everything to be used."""
    with measured() as taken:
        visitor.go(path)
        visitor.page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length")
    shown, loaded = visitor.page.evaluate(
        """() => [
          performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000,
          performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd / 1000,
        ]"""
    )
    return taken.undisturbed(float(shown)), taken.undisturbed(float(loaded))


def _scrolled(visitor: Visitor) -> tuple[dict[str, float], dict[str, float]]:
    """Return the times between frames of a page that stands still, which only other programs delay, and while it scrolls."""
    visitor.page.evaluate("scrollTo(0, 0)")
    scrolling = visitor.page.evaluate(_SCROLL, [120, 0])
    visitor.page.evaluate("scrollTo(0, 0)")
    return visitor.page.evaluate(_SCROLL, [0, scrolling["frames"]]), scrolling


#: Scrolls to the end of the page as a wheel does, or stands still for so many frames, and measures the time between frames in
#: milliseconds.
_SCROLL = """
([by, most]) => new Promise((resolve) => {
  const gaps = [];
  let last = performance.now();
  const step = (now) => {
    gaps.push(now - last);
    last = now;
    scrollBy(0, by);
    if (scrollY + innerHeight >= document.documentElement.scrollHeight - 1 || gaps.length === most) {
      gaps.sort((a, b) => a - b);
      resolve({
        frames: gaps.length,
        median: Math.round(gaps[gaps.length >> 1]),
        p95: Math.round(gaps[Math.floor(gaps.length * 0.95)]),
        worst: Math.round(gaps.at(-1)),
      });
    } else requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})
"""


def test_ten_thousand_slides_are_listed_at_once(browser: Chromium, lab: Lab, process_address: str) -> None:
    _add_many_slides(lab, 10_000)
    with browser.visitor(process_address) as anna:
        anna.go("/")
        for path in ("/", "/?text=9", "/?status=complete&sort=name"):
            _, loaded = _best_opening(anna, path)
            print(f"10,000 slides, {path}: {loaded:.2f} s")
            assert loaded < AT_ONCE, path
            assert anna.page.locator("#slides tbody tr").count() == 50
        anna.page.click('[rel="next"]')
        anna.page.wait_for_url("**after=*")
        assert anna.page.locator("#slides tbody tr").count() == 50


def _add_many_slides(lab: Lab, count: int) -> None:
    """Add complete slides of a few cells each, straight into the tables: a worker would take minutes."""
    lab.add_slide("first")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with lab.database.writing() as connection:
        slides, images, calls = [], [], []
        for number in range(count):
            at = start + timedelta(minutes=number)
            slide_id = 100 + number
            slides.append({"id": slide_id, "inbox_id": lab.inbox_id, "name": f"S-{number:05}", "first_image_at": at,
                           "last_image_at": at, "completed_at": at})  # fmt: skip
            for place, cell_class in enumerate((CellClass.NEUTROPHIL, CellClass.LYMPHOCYTE, CellClass.MONOCYTE)):
                image_id = 1000 + 3 * number + place
                images.append({"id": image_id, "inbox_id": lab.inbox_id, "slide_id": slide_id, "folder": f"S-{number:05}",
                               "filename": f"{place}.jpg", "size": 1, "mtime_ns": 1, "state": ImageState.DONE,
                               "attempts": 1, "seen_at": at, "finished_at": at, "sha256": f"{image_id:064x}"})  # fmt: skip
                calls.append({"image_id": image_id, "model_id": 1, "cell_class": cell_class, "confidence": 0.9,
                              "probabilities": [0.9, *[0.0] * 7], "identified": True, "worker": "test",
                              "classified_at": at})  # fmt: skip
        for table, rows in ((Slide, slides), (Image, images), (Classification, calls)):
            connection.execute(insert(table), rows)
    assert slide_page(lab.database, SlideFilter(), limit=1).slides[0].reviewed.wbc_counted
