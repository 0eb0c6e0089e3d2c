"""Demo slides, so that a newcomer's first command has something to count."""

from pathlib import Path

from smearcount.cli.errors import CommandError
from smearcount.cli.simulation.export import write_exports
from smearcount.cli.views.console import print_message, progress_bar
from smearcount.db.engine.database import Database
from smearcount.db.queries.inboxes import inbox_lines
from smearcount.watcher.settings import WatcherSettings

SLIDES = 3
#: Per slide.
CELLS = 150
SEED = 7


def place_demo_slides(inbox: Path, database: Database, settings: WatcherSettings, truth: Path) -> None:
    """Make the inbox if it is missing, and write demo slides into it if it is empty and was never watched.

    Args:
        inbox: The folder for the slides.
        database: Where earlier watchers of this inbox have left their traces.
        settings: They name the inbox.
        truth: The CSV file for the true class of each demo cell; an earlier one is replaced.

    Raises:
        CommandError: The inbox cannot be made or written to.
    """
    try:
        inbox.mkdir(parents=True, exist_ok=True)
        if any(inbox.iterdir()) or _was_watched(inbox, database, settings):
            return
        print_message(f"{inbox} is empty: putting {SLIDES} demo slides with drawn cells there, to see it work")
        truth.unlink(missing_ok=True)  # An earlier demo may have left one.
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
