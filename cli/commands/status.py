"""`smearcount status`."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from cli import options
from cli.screen import show_rows
from cli.site import Site
from db.counts import inbox_lines, progress

#: A watcher writes down that it lives at least this often, in seconds; see `Watcher`.
_ALIVE_SECONDS = 15


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


@click.command()
@options.output
@options.inbox_name
@options.data
@options.database
def status(output: str, inbox: str | None, data: Path | None, database_url: str | None) -> None:
    """Show where the images are: arriving, pending, queued, done, quarantined; the rate, and the oldest that waits."""
    site = Site(data=data, database_url=database_url)
    now = datetime.now(UTC)
    lines = []
    with site.counted_database() as database:
        for one in inbox_lines(database):
            if inbox not in {None, one.name}:
                continue
            state = progress(database, inbox=one.name)
            oldest = (now - state.oldest_pending_at).total_seconds() if state.oldest_pending_at else None
            lines.append(
                StatusLine(
                    inbox=one.name,
                    watcher=_watcher(one.watched_at, now),
                    arriving=one.arriving,
                    pending=state.pending,
                    queued=state.queued,
                    done=state.done,
                    duplicates=state.duplicates,
                    quarantined=state.quarantined,
                    slides=state.slides,
                    slides_complete=state.slides_complete,
                    images_per_second=round(state.rate_per_second, 1),
                    oldest_pending_seconds=None if oldest is None else round(oldest, 1),
                )
            )
    if output != "table":
        show_rows(lines, output)
    for line in lines if output == "table" else ():
        show_rows([{"": name.replace("_", " "), "now": value} for name, value in asdict(line).items()], "table")


def _watcher(watched_at: datetime | None, now: datetime) -> str:
    if watched_at is None:
        return "never started"
    if (now - watched_at).total_seconds() <= _ALIVE_SECONDS:
        return "running"
    return f"not since {watched_at.astimezone():%Y-%m-%d %H:%M}"
