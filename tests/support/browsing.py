"""A real Chromium that looks at the pages, notes everything it complains about, and keeps pictures of what it saw.

Set SMEARCOUNT_TEST_CHROMIUM to the browser's program where it is not found by its usual names, and
SMEARCOUNT_TEST_ARTEFACTS to a folder in which the pictures are kept.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import psutil
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, expect, sync_playwright
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import TimeoutError as BrowserWaitedInVain

from support.network.interfaces import unchanged
from support.running import Smearcount
from support.waiting import PATIENCE

_NAMES = ("chromium", "chromium-browser", "google-chrome")

_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Containers have a small /dev/shm, too small for large pages.
    "--disable-dev-shm-usage",
)

#: Write every violation of the content security policy to the console as an error.
_TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation",
  (event) => console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`));
"""

#: Keeps the data of every live event. Its listener is added first, so an event that is kept has reached the page's own.
_KEEP_EVENTS = """
window.liveEvents = [];
window.EventSource = class extends EventSource {
  constructor(...given) {
    super(...given);
    this.addEventListener("slides", (event) => window.liveEvents.push(JSON.parse(event.data)));
  }
};
"""

_MISSING_PICTURES = """
() => [...document.images].filter((image) => {
  const place = image.getBoundingClientRect();
  const isInView = place.bottom > 0 && place.top < innerHeight && image.checkVisibility();
  return isInView && !(image.complete && image.naturalWidth > 0);
}).map((image) => `${image.currentSrc || image.src} complete=${image.complete}`)
"""
_PICTURES_ARE_THERE = f"() => ({_MISSING_PICTURES.strip()})().length === 0"

expect.set_options(timeout=PATIENCE * 1000)

SMALL, LARGE = (1280, 800), (1920, 1080)


def unavailable(reason: str) -> NoReturn:
    """Skip the test because there is no browser; in CI, where nothing may be left out, fail it."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(reason)
    pytest.skip(reason)


def find_chromium() -> Path:
    """Return the browser's program; without one, skip the test, or fail it in CI."""
    given = os.environ.get("SMEARCOUNT_TEST_CHROMIUM")
    found = given or next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        unavailable(f"no browser named {', '.join(_NAMES)}; install chromium, or name it in SMEARCOUNT_TEST_CHROMIUM")
    return Path(found)


@dataclass
class Visitor:
    """One person at one browser, with its own storage: what they see, and what the browser complained about."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(_TELL_VIOLATIONS)
        self.page.add_init_script(_KEEP_EVENTS)
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    def go(self, path: str) -> None:
        """Open a page."""
        answer = self.page.goto(self.address + path)
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"

    def go_live(self, path: str) -> None:
        """Open a page and wait until it follows the changes."""
        self.go(path)
        self.page.wait_for_selector('#live[data-state="on"]')

    def introduce(self, name: str) -> None:
        """Enter a name where the page asks who is reviewing."""
        self.page.wait_for_selector("#ask-reviewer[open]")
        self.page.fill("#ask-reviewer input", name)
        self.page.keyboard.press("Enter")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def count(self, cell_class: str) -> int:
        """Return the number of cells that the table of the slide shows for a class."""
        return int(self.page.inner_text(f'tr[data-drop="{cell_class}"] [data-count]'))

    def cells(self, cell_class: str) -> list[int]:
        """Return the ids of the cells that the gallery shows in a class, in its order."""
        found = self.page.eval_on_selector_all(
            f'.group[data-class="{cell_class}"] .cell', "cells => cells.map((cell) => Number(cell.dataset.cell))"
        )
        return list(found)

    def wait_for_event(self, slide_id: int, last_review: int) -> None:
        """Wait until a live event has told the page of a slide's reviews up to one."""
        self.page.wait_for_function(
            """([slide, review]) => liveEvents.some(({ reviewed }) =>
              reviewed.some((change) => change.slide === slide && change.last_review >= review))""",
            arg=[slide_id, last_review],
        )

    @contextmanager
    def requests(self) -> Iterator[list[str]]:
        """Yield a list to which every request of the page is added, as method and path."""
        made: list[str] = []

        def note(request: Request) -> None:
            made.append(f"{request.method} {urlsplit(request.url).path}")

        self.page.on("request", note)
        try:
            yield made
        finally:
            self.page.remove_listener("request", note)

    def sign(self) -> None:
        """Sign the slide by keyboard alone, and acknowledge whatever stands in the way."""
        self.press("s")
        self.page.wait_for_selector("#sign-dialog[open]")
        self.acknowledge()
        self.press("Enter")
        self.page.wait_for_selector('#headline[data-status="signed"]')

    def acknowledge(self) -> None:
        """Tick every box of the open sign-off dialog by keyboard; the next field has the focus afterwards."""
        for _ in range(self.page.locator("#sign-dialog [type=checkbox]").count()):
            self.press("Space", "Tab")

    def select(self, cell_id: int) -> None:
        """Select a cell by a click."""
        self.page.click(f"#cell-{cell_id}")

    def expect_complaint(self, text: str) -> None:
        """Remove from the list one complaint that the test provokes on purpose."""
        found = next(one for one in self.complaints if text in one)
        self.complaints.remove(found)


@dataclass(frozen=True)
class Chromium:
    """The browser, and where its pictures go."""

    browser: Browser
    artefacts: Path

    @contextmanager
    def visitor(self, address: str, *, size: tuple[int, int] = SMALL, colours: str = "light") -> Iterator[Visitor]:
        """Yield a new person; fail the test if the browser complained about anything."""
        with unchanged():
            yield from self._visitor(address, size, colours)

    def _visitor(self, address: str, size: tuple[int, int], colours: str) -> Iterator[Visitor]:
        width, height = size
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if colours == "dark" else "light",
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        context.set_default_timeout(PATIENCE * 1000)
        try:
            one = Visitor(context.new_page(), address.rstrip("/"))
            yield one
            assert not one.complaints, one.complaints
        finally:
            context.close()

    def keep(self, visitor: Visitor, name: str) -> Path:
        """Save a screenshot of what a visitor sees, once all pictures on it are loaded."""
        try:
            visitor.page.wait_for_function(_PICTURES_ARE_THERE)
        except BrowserWaitedInVain:
            missing = visitor.page.evaluate(_MISSING_PICTURES)
            pytest.fail(f"{visitor.page.url} waits for {missing}; the browser says {visitor.complaints}")
        path = self.artefacts / f"{name}.png"
        visitor.page.screenshot(path=path)
        return path


@contextmanager
def chromium(artefacts: Path) -> Iterator[Chromium]:
    """Yield a browser; pictures go to SMEARCOUNT_TEST_ARTEFACTS where it is set, else to the folder given."""
    program = find_chromium()
    folder = Path(os.environ.get("SMEARCOUNT_TEST_ARTEFACTS") or artefacts)
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, _launched(playwright, program) as browser:
        yield Chromium(browser, folder)


@contextmanager
def _launched(playwright: Playwright, program: Path) -> Iterator[Browser]:
    try:
        browser = playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
    except BrowserError as error:
        unavailable(f"the browser {program} does not start: {str(error).splitlines()[0]}")
    try:
        yield browser
    finally:
        browser.close()


def serve(smearcount: Smearcount) -> str:
    """Start `smearcount web` on a free port and return its address; it is ended with the test."""
    process = smearcount.start("web", "--port", "0")
    assert process.stdout is not None
    said: list[str] = []
    for line in process.stdout:
        said.append(line)
        if "http://" in line:
            return next(word.partition("?")[0] for word in line.split() if word.startswith("http://"))
    pytest.fail(f"the web server said no address, but: {''.join(said)}")


@dataclass
class Taken:
    """How long something took, in seconds, and how long it would take on a machine that has nothing else to do."""

    #: Time that passed.
    passed: float = 0.0
    #: Processor time of all processes that this one has started, and of theirs.
    processor: float = 0.0
    #: Time in which the machine had nothing to do: then nobody else kept the work from going on.
    idle: float = 0.0

    def undisturbed(self, passed: float | None = None) -> float:
        """Return how long it takes at most where nobody else needs the processor.

        Args:
            passed: Time that passed; None for all of the time that was measured.
        """
        return min(self.passed if passed is None else passed, self.processor + self.idle)


@contextmanager
def measured() -> Iterator[Taken]:
    """Measure what happens in the context; what it yields has the times afterwards."""
    taken = Taken()
    processor, idle, began_at = _processor_of_descendants(), _idle(), time.monotonic()
    yield taken
    taken.passed = time.monotonic() - began_at
    taken.idle = _idle() - idle
    taken.processor = sum(
        seconds - processor.get(process, 0.0) for process, seconds in _processor_of_descendants().items()
    )


def _processor_of_descendants() -> dict[psutil.Process, float]:
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        found[process] = times.user + times.system
    return found


def _idle() -> float:
    """Return the time without any work since the machine's start, per processor."""
    times = psutil.cpu_times()
    return float(times.idle + getattr(times, "iowait", 0.0)) / (psutil.cpu_count() or 1)
