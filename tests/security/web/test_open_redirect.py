"""After the login, `next` leads nowhere but to this server, whatever it holds; in a real browser, which resolves it."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from smearcount.web.auth.users import Role, Users

from support.browsing import Chromium, chromium
from support.serving import Lab, served

PASSWORD = "correct horse battery"  # noqa: S105


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """Yield a real browser."""
    with chromium(tmp_path_factory.mktemp("pages")) as started:
        yield started


@pytest.mark.slow
def test_the_login_leads_nowhere_else(browser: Chromium, lab: Lab, tmp_path: Path) -> None:
    Users(tmp_path / "users.json").set("Anna", Role.REVIEWER, PASSWORD)
    with served(lab) as own, served(lab) as other:
        host = urlsplit(other).netloc
        for wanted in (
            f"/..//{host}/",
            f"//{host}/",
            f"/\\{host}/",
            f"http://{host}/",
            f"/.//{host}/a",
            "javascript:alert(1)",
        ):
            with browser.visitor(own) as anna:
                anna.page.goto(f"{own}login?next={quote(wanted, safe='')}")
                anna.page.fill("[name=name]", "Anna")
                anna.page.fill("[name=password]", PASSWORD)
                anna.page.press("[name=password]", "Enter")
                anna.page.wait_for_url(lambda url: "login" not in url)
                assert urlsplit(anna.page.url).netloc == urlsplit(own).netloc, wanted
                anna.complaints.clear()  # this server has no such page
        with browser.visitor(own) as anna:
            anna.page.goto(f"{own}login?next={quote('/trends?days=7', safe='')}")
            anna.page.fill("[name=name]", "Anna")
            anna.page.fill("[name=password]", PASSWORD)
            anna.page.press("[name=password]", "Enter")
            anna.page.wait_for_url("**/trends?days=7")
