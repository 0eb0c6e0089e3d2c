"""An hour at half load with a fault every minute or two: is any image lost or counted twice, and does any process grow?

    make soak                                     an hour
    make soak SOAK="--minutes 5"                  to see that it works

Images are links to the same few thousand real cells, so that an hour's million files need no space; each slide has 400, as in
the reference method, none of them twice. Before the hour, every cell is counted once undisturbed, at full speed: the load is
half of that speed, and every later call of a cell must equal its first one.
"""

import argparse
import json
import signal
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from faults.soak import report
from faults.soak.load import CELLS_PER_SLIDE
from faults.soak.run import soak
from faults.waiting import Trouble
from support.servers import ServerCannotStart


def parser() -> argparse.ArgumentParser:
    """Return the parser of its options."""
    made = argparse.ArgumentParser(prog="make soak", description="Run everything at half load, with faults.")
    add = made.add_argument
    add("--minutes", type=float, default=60)
    add("--seed", type=int, default=1, help="of the faults and their moments (default: %(default)s)")
    add("--cells", type=int, default=6_400, help="different images (default: %(default)s)")
    add(
        "--rate", type=float, metavar="N", help="images per second; default: half of what is counted as fast as it goes"
    )
    add(
        "--pause",
        type=float,
        default=90,
        metavar="SECONDS",
        help="between two faults, on average (default: %(default)s)",
    )
    add("--json", type=Path, default=Path("soak.json"), metavar="FILE", help="default: %(default)s")
    add(
        "--samples",
        type=Path,
        default=Path("soak.csv"),
        metavar="FILE",
        help="what every process held; default: %(default)s",
    )
    add("--page", type=Path, metavar="FILE", help="write the tables into this page, too: docs/faults.md")
    return made


def main() -> int:
    """Run a soak, print its tables and write its figures."""
    options = parser().parse_args()
    if options.cells < CELLS_PER_SLIDE:
        parser().error(f"--cells: a slide has {CELLS_PER_SLIDE}, none of them twice")
    say = Console(stderr=True, highlight=False)
    options.samples.unlink(missing_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.page is not None:
            report.place_in(options.page)  # fail now, not in an hour
        with tempfile.TemporaryDirectory(prefix="smearcount-soak-") as folder:
            found = soak(Path(folder), options, say)
            say.print("removing the inbox ...")
    except (Trouble, ServerCannotStart, OSError, ValueError) as error:
        say.print(f"error: {error}", markup=False)
        return 1
    except KeyboardInterrupt:
        say.print(f"ended; what every process held until now is in {options.samples}")
        return 130
    options.json.write_text(json.dumps(asdict(found), indent=2) + "\n")
    for table in report.tables(found):
        Console().print(table)
    if options.page is not None:
        report.rewrite(options.page, found)
    for failure in (failures := found.failures()):
        say.print(f"FAILS: {failure}", markup=False)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
