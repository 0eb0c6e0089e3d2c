"""The output of `status`: the numbers of each inbox and the alerts, once or again whenever they change."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from smearcount.cli.alerts import Alert, broker_down, current_alerts, database_down, has_living_watcher
from smearcount.cli.site import Site
from smearcount.cli.views import formats
from smearcount.cli.views.console import print_message, print_result, results, written
from smearcount.cli.views.rows import print_rows
from smearcount.db.delivery.destinations import destination_health
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseUnavailable
from smearcount.db.liveness import watcher_lives
from smearcount.db.queries.health import Health, InboxHealth, read_health
from smearcount.db.queries.inboxes import progress
from smearcount.inbox.ignoring import kinds_text
from smearcount.worker.errors import BrokerUnavailable
from smearcount.worker.queue import BatchQueue

#: Seconds between two readings of the database.
_LOOK_SECONDS = 2.0
#: Share of the time that the readings may take. Each one counts all images: where that takes long, they become rarer.
_LOOKING_SHARE = 0.05


@dataclass(frozen=True)
class StatusLine:
    """The numbers of one inbox: images, except for those of slides and those with a unit in the name."""

    inbox: str
    #: "running", "never started", or since when it has not been running.
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
    #: Files that the last full scan ignored; None before the first one.
    ignored: int | None
    #: Their number by kind, such as ".webp 400, .xml 12".
    ignored_kinds: str


@dataclass(frozen=True)
class Status:
    """The numbers of all inboxes, and the alerts."""

    lines: tuple[StatusLine, ...]
    alerts: tuple[Alert, ...]

    @property
    def without_clocks(self) -> "Status":
        """The same without the numbers that change with the time alone."""
        lines = tuple(replace(line, images_per_second=0, oldest_pending_seconds=None) for line in self.lines)
        return Status(lines, self.alerts)


class StatusView:
    """Reads the status of one installation and prints it."""

    def __init__(self, database: Database, queue: BatchQueue, site: Site, *, inbox: str | None, output: str) -> None:
        """Prepare to read the status.

        Args:
            database: The database of the site.
            queue: The queue of the site.
            site: Its settings.
            inbox: Name of the only inbox to show; None for all.
            output: "table", "json" or "csv".
        """
        self._database = database
        self._queue = queue
        self._site = site
        self._inbox = inbox
        self._output = output

    def look(self) -> Status:
        """Read the status of this moment.

        Raises:
            DatabaseUnavailable: The database does not answer.
        """
        now = datetime.now(UTC)
        health = read_health(self._database)
        inboxes = tuple(one for one in health.inboxes if self._inbox in {None, one.name})
        destinations = destination_health(self._database)
        found = current_alerts(replace(health, inboxes=inboxes), self._site.alerts, now, destinations)
        return Status(tuple(self._line(one, now) for one in inboxes), (*self._broker_alerts(health, now), *found))

    def show(self, status: Status) -> None:
        """Print a status: the numbers as the result, the alerts as messages."""
        if self._output != "table":
            print_rows(status.lines, self._output)
        for line in status.lines if self._output == "table" else ():
            print_result(_table(line))
        for alert in status.alerts:
            print_message(str(alert))

    def watch(self) -> None:
        """Show the status until Ctrl-C: on a terminal as one block that follows it, elsewhere again after each change."""
        if self._output == "table" and results().is_terminal:
            with written(), Live(console=results(), auto_refresh=False) as live:
                for status in self._looks():
                    live.update(_screen(status), refresh=True)
        shown = None
        for status in self._looks():
            if status.without_clocks != shown:
                shown = status.without_clocks
                self.show(status)

    def _looks(self) -> Iterator[Status]:
        """Yield the status again and again; while the database does not answer, yield the last one with an alert."""
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

    def _line(self, inbox: InboxHealth, now: datetime) -> StatusLine:
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
            ignored=None if inbox.ignored_kinds is None else sum(inbox.ignored_kinds.values()),
            ignored_kinds=kinds_text(inbox.ignored_kinds or {}),
        )

    def _broker_alerts(self, health: Health, now: datetime) -> tuple[Alert, ...]:
        # The broker of `up` ends with it. Another alert says then that nobody watches the inbox.
        if self._site.has_own_broker and not has_living_watcher(health.inboxes, now):
            return ()
        try:
            self._queue.depth()
        except BrokerUnavailable as error:
            return (broker_down(error),)
        return ()


def _screen(status: Status) -> RenderableType:
    return Group(
        *(_table(line) for line in status.lines),
        *(Text(str(alert), style="bold") for alert in status.alerts),
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
