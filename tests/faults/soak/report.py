"""The results of a soak, compared with their bounds, as tables for the terminal and for the documentation."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich.table import Table

from faults.soak.samples import Steadiness

#: Bounds of what a third of the run may add to a process.
MOST_GROWTH_PERCENT, MOST_HANDLES_GROWTH = 5.0, 1.0


@dataclass(frozen=True)
class Injected:
    """One fault of the run."""

    #: Seconds since the run began.
    at: float
    fault: str
    seconds: float
    #: Seconds from its end to the next stored result.
    recovery: float


@dataclass(frozen=True)
class Soak:
    """One run."""

    minutes: float
    #: Seconds between two faults, on average.
    pause: float
    seed: int
    processor: str
    cores: int
    has_hosts: bool
    #: Images per second, undisturbed and as fast as it goes.
    throughput: float
    #: Images per second that were dropped.
    load: float
    sent: int
    counted: int
    lost: int
    twice: int
    #: Images whose call differs from the undisturbed one.
    called_otherwise: int
    #: Seconds from the last image dropped to the last slide complete.
    seconds_to_the_end: float
    injected: Sequence[Injected]
    #: Parts that did not come back after a fault.
    troubles: Sequence[str]
    steadiness: Sequence[Steadiness]
    #: Answers of the web server by status; "none" while it was gone.
    answers: Mapping[str, int]

    def failures(self) -> list[str]:
        """Return the bounds that the run does not keep, in words."""
        found = [
            f"{count} images {what}"
            for count, what in (
                (self.lost, "lost"),
                (self.twice, "counted twice"),
                (self.called_otherwise, "called otherwise"),
            )
            if count
        ]
        found += self.troubles
        for one in self.steadiness:
            if one.growth_percent is None or one.handles_growth is None:
                found.append(f"{one.role}: no process lived long enough to be judged")
            else:
                if one.growth_percent > MOST_GROWTH_PERCENT:
                    found.append(f"{one.role}: memory grows by {one.growth_percent:.1f} % in a third of the run")
                if one.handles_growth > MOST_HANDLES_GROWTH:
                    found.append(f"{one.role}: {one.handles_growth:.1f} more open files in a third of the run")
            if one.zombies:
                found.append(f"{one.role}: {one.zombies} zombies")
        return found


def counts(soak: Soak) -> list[tuple[str, str]]:
    """Return the outcome of the images, as lines of two columns."""
    recoveries = [one.recovery for one in soak.injected]
    spans = f"{median(recoveries):.1f} s; longest {max(recoveries):.1f} s" if recoveries else "no fault"
    return [
        ("minutes", f"{soak.minutes:g}"),
        ("images per second: undisturbed, as fast as it goes", f"{soak.throughput:,.0f}"),
        ("images per second: load", f"{soak.load:,.0f}"),
        ("images sent", f"{soak.sent:,}"),
        ("counted", f"{soak.counted:,}"),
        ("lost", f"{soak.lost:,}"),
        ("counted twice", f"{soak.twice:,}"),
        ("called otherwise than undisturbed", f"{soak.called_otherwise:,}"),
        ("faults", f"{len(soak.injected)}, one every {soak.pause:g} s on average"),
        ("from the end of a fault to the next result: median", spans),
        ("from the last image to the last slide complete", f"{soak.seconds_to_the_end:.0f} s"),
        ("answers of the web server", ", ".join(f"{count:,} × {status}" for status, count in soak.answers.items())),
    ]


PROCESS_HEADINGS = (
    "processes", "lived", "MB in memory", "MB of its own", "growth in a third of the run", "open files",
    "growth in a third of the run", "zombies",
)  # fmt: skip


def process_lines(soak: Soak) -> list[list[str]]:
    """Return what the processes held, a line per role in the order of PROCESS_HEADINGS."""
    return [
        [
            one.role, f"{one.processes}", f"{one.resident:.1f}", f"{one.own:.1f}", _signed(one.growth_percent, " %"),
            f"{one.handles:.0f}", _signed(one.handles_growth, ""), f"{one.zombies}",
        ]
        for one in soak.steadiness
    ]  # fmt: skip


def tables(soak: Soak) -> list[Table]:
    """Return the tables as they are printed."""
    of_counts = Table("", "", title="What became of the images")
    for line in counts(soak):
        of_counts.add_row(*line)
    of_processes = Table(*PROCESS_HEADINGS, title="What the processes held")
    for cells in process_lines(soak):
        of_processes.add_row(*cells)
    return [of_counts, of_processes]


def rewrite(page: Path, soak: Soak) -> None:
    """Put the tables into a page, between two marks.

    Raises:
        ValueError: The page has no place for them.
    """
    before, after = place_in(page)
    page.write_text(f"{before}{_BEGIN}\n{markdown(soak)}\n{_END}{after}")


def place_in(page: Path) -> tuple[str, str]:
    """Return what stands before and after the tables of a page.

    Raises:
        ValueError: The page has no place for them.
    """
    before, begin, rest = page.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{page} has no place for the tables: {_BEGIN} and {_END}")
    return before, after


def markdown(soak: Soak) -> str:
    """Return the tables in Markdown for the documentation."""
    times = Counter(one.fault for one in soak.injected)
    faults = ", ".join(name if count == 1 else f"{name} ({count} times)" for name, count in sorted(times.items()))
    where = "servers, watcher and two workers on hosts of their own" if soak.has_hosts else "all on one host"
    return "\n\n".join(
        [
            f"{soak.cores} cores of {soak.processor}; {where}; seed {soak.seed}.",
            _table(("", ""), counts(soak)),
            _table(PROCESS_HEADINGS, process_lines(soak)),
            f"The faults were {faults}.",
        ]
    )


_BEGIN, _END = "<!-- soak: written by make soak -->", "<!-- end of soak -->"


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _signed(value: float | None, unit: str) -> str:
    return "too short to tell" if value is None else f"{value:+.1f}{unit}"
