"""`make fuzz`: decode a hundred thousand spoiled image files, and keep those that crash, hang or swell the decoder."""

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from smearcount.models.preprocessing import decode_cell

from fuzzing.sandbox import MEGABYTES, SECONDS, Outcome, fuzz


def main() -> int:
    """Fuzz, print the result, and return 1 if an image crashed, hung or swelled the decoder."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Decode spoiled images in a child process.")
    parser.add_argument("--images", type=int, default=100_000, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="for other images (default: %(default)s)")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), metavar="FOLDER",
                        help="where images at fault are put, should there be any (default: %(default)s)")  # fmt: skip
    options = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    outcome = Outcome()
    columns = (TextColumn("decoding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with (
            tempfile.TemporaryDirectory(prefix="smearcount-fuzz-") as scratch,
            Progress(*columns, console=say, disable=not say.is_terminal) as progress,
        ):
            task = progress.add_task("", total=options.images)
            for outcome in fuzz(decode_cell, images=options.images, seed=options.seed, scratch=Path(scratch)):
                progress.update(task, completed=outcome.images)
    except KeyboardInterrupt:
        say.print("ended; what follows is what was decoded until now")
    _print(outcome)
    for finding in outcome.findings:
        options.findings.mkdir(exist_ok=True)
        file = options.findings / f"{options.seed}-{finding.number}"
        file.write_bytes(finding.data)
        say.print(f"image {finding.number} {finding.what}: {file}", markup=False)
    if outcome.images < options.images:
        return 130
    return 1 if outcome.findings else 0


def _print(outcome: Outcome) -> None:
    table = Table("what became of them", "images", title=f"{outcome.images:,} spoiled images")
    table.columns[1].justify = "right"
    for end, count in outcome.ends.most_common():
        table.add_row(end if end == "decoded" else f"refused: {end}", f"{count:,}")
    table.add_section()
    table.add_row("crashed, hung or over the memory", f"{len(outcome.findings):,}")
    table.add_row("different messages", f"{outcome.novelties:,}")
    table.add_row(f"slowest (at most {SECONDS:g} s)", f"{outcome.slowest_seconds * 1000:,.0f} ms")
    table.add_row(f"most memory (at most {MEGABYTES} MB)", f"{outcome.peak_megabytes:,.0f} MB")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
