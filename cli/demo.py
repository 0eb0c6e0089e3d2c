"""Demo slides, so that the first command of a newcomer has something to count."""

from pathlib import Path

from smearcount.cli.errors import CommandError
from smearcount.cli.simulation.export import write_exports
from smearcount.cli.views.screen import progress_bar, say
from smearcount.db.engine.database import Database
from smearcount.db.queries.counts import inbox_lines
from smearcount.watcher.settings import WatcherSettings

SLIDES = 3
CELLS = 150
SEED = 7


def place_demo_slides(inbox: Path, database: Database, settings: WatcherSettings, truth: Path) -> None:
    """Make the inbox if it is missing, and put demo slides there if it is empty and was never watched.

    What the demo cells are is written to the file `truth`.

    Raises:
        CommandError: the inbox cannot be made or written to.
    """
    try:
        inbox.mkdir(parents=True, exist_ok=True)
        if any(inbox.iterdir()) or _was_watched(inbox, database, settings):
            return
        say(f"{inbox} is empty: putting {SLIDES} demo slides with drawn cells there, to see it work")
        truth.unlink(missing_ok=True)  # of an earlier demo
        with progress_bar("drawing cells", SLIDES * CELLS) as progress:
            write_exports(
                inbox,
                slides=SLIDES,
                cells=CELLS,
                seed=SEED,
                source=None,
                composition=None,
                truth=truth,
                progress=progress,
            )
    except OSError as error:
        raise CommandError(f"the inbox {inbox} cannot be used: {error.strerror}") from None


def _was_watched(inbox: Path, database: Database, settings: WatcherSettings) -> bool:
    name = settings.name_of(inbox)
    return any(line.name == name and line.scanned_at is not None for line in inbox_lines(database))
