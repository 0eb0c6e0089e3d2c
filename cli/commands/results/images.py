"""`smearcount images`."""

from dataclasses import asdict
from pathlib import Path

import click

from smearcount.cli import options
from smearcount.cli.startup import open_site
from smearcount.cli.views.console import print_message
from smearcount.cli.views.rows import print_rows
from smearcount.db.queries.images import image_lines
from smearcount.db.records import ImageLine
from smearcount.db.schema import ImageState
from smearcount.differential.tally import Calls

_STATES = [*(state.value for state in ImageState), "unidentified"]
_COLUMNS = ("id", "path", "state", "cell_class", "confidence", "reason")


@click.command()
@click.argument("slide", required=False)
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, metavar="STATE",
              help="Only images in this state; may be given more than once: "
              f"{', '.join(ImageState)}, or unidentified.")  # fmt: skip
@click.option("--calls", type=click.Choice([one.value for one in Calls]), default=Calls.REVIEWED.value,
              show_default=True,
              help="Whose call to show of each image: a person's before the model's, or the model's alone.")  # fmt: skip
@options.output
@options.inbox_name
@options.data
@options.database
def images(
    slide: str | None,
    states: tuple[str, ...],
    calls: str,
    output: str,
    inbox: str | None,
    data: Path | None,
    database_url: str | None,
) -> None:
    """List the images of SLIDE, or of all slides, with their state, class and the reason where one was refused.

    The class is that of a person where somebody has called the cell, and "unidentified" is what is in no class after that;
    --calls automatic shows the model's calls alone. Overwritten files are listed only when asked for with --state superseded.
    """
    site = open_site(data=data, database_url=database_url)
    wanted = {ImageState(state) for state in states if state != "unidentified"}
    looked_up = wanted | {ImageState.DONE} if "unidentified" in states else wanted
    with site.counted_database() as database:
        lines = image_lines(database, slide=slide, inbox=inbox, states=looked_up, calls=Calls(calls))
    if "unidentified" in states:
        lines = [line for line in lines if line.state in wanted or line.identified is False]
    if not lines and output == "table":
        print_message("no such images")
        return
    if output == "table":
        rows = [asdict(line) | {"state": _shown_state(line), "reason": _shown_reason(line)} for line in lines]
        print_rows(rows, output, _COLUMNS)
    else:
        print_rows([_by_column(line) for line in lines], output)


def _by_column(line: ImageLine) -> dict[str, object]:
    """Return a line by the names that its columns have in JSON and CSV."""
    return {"unlikeness" if name == "ood_score" else name: value for name, value in asdict(line).items()}


def _shown_state(line: ImageLine) -> str:
    """Return the state of an image; "unidentified" for one that is done and in no class."""
    return "unidentified" if line.identified is False else line.state


def _shown_reason(line: ImageLine) -> str | None:
    """Return why a file was refused, who called a cell and why, or why a cell is unidentified; None for all others."""
    if line.calls is Calls.REVIEWED:
        why = "" if line.review_reason is None else f": {line.review_reason}"
        return f"called {line.reviewed} by {line.reviewer}{why}"
    if line.identified is not False or line.confidence is None or line.threshold is None:
        return line.reason
    if line.confidence < line.threshold:
        return f"confidence under {line.threshold:g}"
    return "unlike the cells that the model knows"
