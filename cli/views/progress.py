"""The output of `up`: the progress of the counting, each slide when it is complete, and the slides at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.live import Live
from rich.text import Text

from smearcount.cli.site import Site
from smearcount.cli.views import formats
from smearcount.cli.views.console import messages, print_message, print_result
from smearcount.cli.views.layout import deep_slides_warning, names_slides_by_first_folder
from smearcount.cli.views.lines import slide_lines
from smearcount.db.engine.database import Database
from smearcount.db.errors import DatabaseError
from smearcount.db.queries.counts import slide_tallies
from smearcount.db.queries.images import image_lines
from smearcount.db.queries.inboxes import deep_slides, inbox_lines, progress
from smearcount.db.queries.lookalikes import lookalikes
from smearcount.db.records import InboxLine, Progress
from smearcount.db.schema import ImageState
from smearcount.differential.tally import CallsAsked
from smearcount.inbox.ignoring import kinds_text
from smearcount.web.queries.examinations import examinations

#: Seconds between two lines of progress where the output is not a terminal.
_PLAIN_SECONDS = 5.0
#: Share of the time that the queries may take: counting many images takes long, and the workers need the cores.
_LOOKING_SHARE = 0.01
#: Most quarantined files that are listed at the end; the command `images` lists all of them.
_MOST_LISTED = 50


class ProgressView:
    """Follows one inbox in the database and prints what changes."""

    def __init__(self, database: Database, site: Site, inbox: Path, *, once: bool, calls: CallsAsked) -> None:
        """Follow an inbox.

        Args:
            database: The database of the site.
            site: Its settings.
            inbox: The folder that is watched.
            once: Print the slides together at the end, and not each one when it is complete.
            calls: Whose calls the printed counts are made of.
        """
        self._database = database
        self._site = site
        self._once = once
        self._calls = calls
        self._name = site.watcher.name_of(inbox)
        self._live = Live(console=messages(), transient=True, auto_refresh=False)
        #: All slides that were completed up to this moment are printed, or were complete before the start.
        self._printed_until = datetime.now(UTC)
        self._inbox: InboxLine | None = None
        self._progress: Progress | None = None
        self._next_look_at = 0.0
        self._next_plain_at = time.monotonic() + _PLAIN_SECONDS
        self._last_plain = ""

    def __enter__(self) -> Self:
        if messages().is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def print_message(self, text: str) -> None:
        """Print a message above the progress."""
        with self._progress_hidden():
            print_message(text)

    def update(self) -> None:
        """Read the database and print what has changed; do nothing if the last reading was only a moment ago."""
        begun_at = time.monotonic()
        if begun_at < self._next_look_at:
            return
        try:
            self._inbox = next((one for one in inbox_lines(self._database) if one.name == self._name), None)
            self._progress = progress(self._database, inbox=self._name)
            if not self._once:
                self._print_completed()
        except DatabaseError:
            return  # Keep the progress as it was; watcher and workers report the database.
        self._show_progress(self._progress)
        now = time.monotonic()
        self._next_look_at = now + (now - begun_at) / _LOOKING_SHARE

    def is_everything_counted_since(self, moment: datetime) -> bool:
        """Say whether a scan has ended after `moment`, and everything that was found is counted."""
        if self._inbox is None or self._progress is None or self._inbox.scanned_at is None:
            return False
        return (
            self._inbox.scanned_at > moment
            and self._inbox.arriving == 0
            and self._progress.open == 0
            and self._progress.slides_complete == self._progress.slides
        )

    def print_result(self) -> int:
        """Print the slides and the files that could not be counted; return the number of those files."""
        tallies = slide_tallies(self._database, inbox=self._name)
        if tallies:
            print_result(formats.slides_table(slide_lines(tallies, self._calls, self._site.counts)))
        else:
            print_message("there is nothing to count")
        self._warn_of_deep_slides(completed_after=None)
        quarantined = progress(self._database, inbox=self._name).quarantined
        if quarantined:
            print_message(f"{quarantined} files could not be counted:")
            listed = image_lines(self._database, inbox=self._name, states=[ImageState.QUARANTINED], limit=_MOST_LISTED)
            print_result(formats.rows_table(listed, ("path", "reason")))
        if quarantined > _MOST_LISTED:
            print_message(f"... and {quarantined - _MOST_LISTED} more; see: smearcount images --state quarantined")
        self._print_warnings()
        if tallies:
            print_message("one slide in full: smearcount counts SLIDE")
        return quarantined

    def _print_warnings(self) -> None:
        alike = lookalikes(self._database, inbox=self._name)
        if alike:
            print_message(f"attention: {formats.lookalikes_text(alike)}")
        kinds = (self._inbox.ignored_kinds if self._inbox else None) or {}
        if kinds:
            print_message(f"files ignored: {sum(kinds.values()):,} ({kinds_text(kinds)})")

    def _print_completed(self) -> None:
        """Print the slides completed since the last reading; a slide that was reopened meanwhile is printed again."""
        self._warn_of_deep_slides(completed_after=self._printed_until)
        for one in slide_tallies(self._database, inbox=self._name, completed_after=self._printed_until):
            self._print_slide(one.slide_id)
            if one.tally.completed_at is not None:
                self._printed_until = max(self._printed_until, one.tally.completed_at)

    def _warn_of_deep_slides(self, *, completed_after: datetime | None) -> None:
        if names_slides_by_first_folder(self._site.watcher):
            deep = deep_slides(self._database, inbox=self._name, completed_after=completed_after)
            if deep:
                self.print_message(deep_slides_warning(deep))

    def _print_slide(self, slide_id: int) -> None:
        (examined,) = examinations(self._database, [slide_id], self._site.counts)
        with self._progress_hidden():
            print_result(formats.differential_table(examined, self._calls))
            print_result()

    @contextmanager
    def _progress_hidden(self) -> Iterator[None]:
        """Remove the progress from the screen while a result is printed: the two go to different outputs."""
        was_shown = self._live.is_started
        self._live.stop()
        yield
        if was_shown:
            self._live.start()

    def _show_progress(self, now: Progress) -> None:
        arriving = self._inbox.arriving if self._inbox else 0
        total = now.finished + now.open
        parts = [f"{now.finished} of {total} images", f"{now.slides_complete} of {now.slides} slides complete"]
        if arriving:
            parts.append(f"{arriving} files arriving")
        if now.quarantined:
            parts.append(f"{now.quarantined} quarantined")
        if now.open:
            parts.append(f"{now.rate_per_second:.0f} images/s")
        text = ", ".join(parts)
        if messages().is_terminal:
            self._live.update(Text(text), refresh=True)
        elif text != self._last_plain and time.monotonic() >= self._next_plain_at:
            self._next_plain_at = time.monotonic() + _PLAIN_SECONDS
            self._last_plain = text
            print_message(text)
