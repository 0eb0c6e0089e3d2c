"""What `status` shows: a line for each inbox, and what needs attention; once, or again whenever it changes."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from smearcount.cli.alerts import Condition, broker_down, conditions, database_down, has_living_watcher
from smearcount.cli.site import Site
from smearcount.cli.views import formats
from smearcount.cli.views.screen import results, say, show_rows
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.queries.counts import progress
from smearcount.db.queries.health import InboxSigns, VitalSigns, vital_signs
from smearcount.db.records import watcher_lives
from smearcount.worker.errors import BrokerUnavailable
from smearcount.worker.queue import BatchQueue

#: Time between two looks, in seconds; longer where looking would take a larger share of the time than this, since it
#: means counting all images.
_LOOK_SECONDS, _LOOKING_SHARE = 2.0, 0.05


@dataclass(frozen=True)
class StatusLine:
    """How one inbox is doing."""

    inbox: str
    #: "running", or since when not.
    watcher: str
    arriving: int
    pending: int
    queued: int
    done: int
    duplicates: int
    quarantined: int
    slides: int
    slides_complete: int
    images_per_second: float
    oldest_pending_seconds: float | None
    last_image_at: datetime | None


@dataclass(frozen=True)
class Status:
    """How all inboxes are doing."""

    lines: tuple[StatusLine, ...]
    conditions: tuple[Condition, ...]

    @property
    def without_clocks(self) -> "Status":
        """The same without what changes by itself as time goes by."""
        lines = tuple(replace(line, images_per_second=0, oldest_pending_seconds=None) for line in self.lines)
        return Status(lines, self.conditions)


class StatusView:
    """Looks at one installation."""

    def __init__(self, database: Database, queue: BatchQueue, site: Site, *, inbox: str | None, output: str) -> None:
        """Look at one inbox, or with None at all; `output` is the form in which it is printed."""
        self._database = database
        self._queue = queue
        self._site = site
        self._inbox = inbox
        self._output = output

    def look(self) -> Status:
        """Return how everything is doing now.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        now = datetime.now(UTC)
        signs = vital_signs(self._database)
        inboxes = tuple(one for one in signs.inboxes if self._inbox in {None, one.name})
        found = conditions(replace(signs, inboxes=inboxes), self._site.alerts, now)
        return Status(tuple(self._line(one, now) for one in inboxes), (*self._conditions_of_broker(signs, now), *found))

    def show(self, status: Status) -> None:
        """Print it once; what needs attention is a message for people, beside the result."""
        if self._output != "table":
            show_rows(status.lines, self._output)
        for line in status.lines if self._output == "table" else ():
            results.print(_table(line))
        for condition in status.conditions:
            say(str(condition))

    def watch(self) -> None:
        """Show it until interrupted: on a terminal always as it is now, elsewhere again whenever it has changed."""
        if self._output == "table" and results.is_terminal:
            with Live(console=results, auto_refresh=False) as live:
                for status in self._looks():
                    live.update(_screen(status), refresh=True)
        shown = None
        for status in self._looks():
            if status.without_clocks != shown:
                shown = status.without_clocks
                self.show(status)

    def _looks(self) -> Iterator[Status]:
        """Yield how everything is doing, for ever; while the database does not answer, what was known last."""
        last = Status((), ())
        while True:
            begun_at = time.monotonic()
            try:
                last = self.look()
            except DatabaseUnavailable as error:
                yield Status(last.lines, (database_down(error),))
            else:
                yield last
            took = time.monotonic() - begun_at
            time.sleep(max(_LOOK_SECONDS, took / _LOOKING_SHARE))

    def _line(self, inbox: InboxSigns, now: datetime) -> StatusLine:
        state = progress(self._database, inbox=inbox.name)
        oldest = (now - state.oldest_pending_at).total_seconds() if state.oldest_pending_at else None
        return StatusLine(
            inbox=inbox.name,
            watcher=_watcher(inbox.watched_at, now),
            arriving=inbox.arriving,
            pending=state.pending,
            queued=state.queued,
            done=state.done,
            duplicates=state.duplicates,
            quarantined=state.quarantined,
            slides=state.slides,
            slides_complete=state.slides_complete,
            images_per_second=round(state.rate_per_second, 1),
            oldest_pending_seconds=None if oldest is None else round(oldest, 1),
            last_image_at=inbox.last_image_at,
        )

    def _conditions_of_broker(self, signs: VitalSigns, now: datetime) -> tuple[Condition, ...]:
        # The broker that `up` starts ends with it; that nobody watches then is said anyway.
        if self._site.has_own_broker and not has_living_watcher(signs.inboxes, now):
            return ()
        try:
            self._queue.depth()
        except BrokerUnavailable as error:
            return (broker_down(error),)
        return ()


def _screen(status: Status) -> RenderableType:
    return Group(
        *(_table(line) for line in status.lines),
        *(Text(str(condition), style="bold") for condition in status.conditions),
        Text("Ctrl-C ends", style="dim"),
    )


def _table(line: StatusLine) -> RenderableType:
    return formats.rows_table([{"": name.replace("_", " "), "now": value} for name, value in asdict(line).items()])


def _watcher(watched_at: datetime | None, now: datetime) -> str:
    if watched_at is None:
        return "never started"
    if watcher_lives(watched_at, now):
        return "running"
    return f"not since {watched_at.astimezone():%Y-%m-%d %H:%M}"
