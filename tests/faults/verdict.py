"""The comparison of a disturbed run with an undisturbed one, how soon it recovered, and the table of results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

_COUNTED = frozenset({"done", "duplicate"})
_POISONED = ("quarantined", "kills-worker")

HEADINGS = (
    "fault", "times", "images", "lost", "counted twice", "otherwise different", "seconds to the next result: median",
    "longest", "seconds until caught up: longest",
)  # fmt: skip


class Fate(NamedTuple):
    """The outcome of one version of a file."""

    state: str
    reason_code: str | None
    cell_class: str | None
    identified: bool | None
    #: Number of rows with a model's call.
    classifications: int


@dataclass(frozen=True)
class Account:
    """What a database holds after a run."""

    #: By path within the inbox; a file that counts correctly has one fate.
    fates: Mapping[str, Sequence[Fate]]
    #: How many times bytes are counted again on the same slide.
    same_bytes: int
    #: By slide: every number of its differential, by name.
    differentials: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Findings:
    """The differences of a disturbed run from an undisturbed one; empty if there are none."""

    #: Files that were not counted.
    lost: tuple[str, ...] = ()
    twice: int = 0
    #: All other differences, in words.
    different: tuple[str, ...] = ()


class Beat(NamedTuple):
    """The progress of a run at one moment."""

    #: Seconds, of any origin.
    at: float
    last_result: int
    newest_image: int
    oldest_open: int | None


class Injection(NamedTuple):
    """One fault of a run: when it ended, and the progress at that moment."""

    ended_at: float
    then: Beat


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    what: str
    times: int = 0
    images: int = 0
    findings: Findings = Findings()
    #: For each fault, seconds from its end to the next result.
    recovery: tuple[float, ...] = ()
    #: For each fault, seconds from its end until everything that was open then is finished.
    catching_up: tuple[float, ...] = ()
    #: Seconds from the first file to the last slide's completion.
    seconds: float = 0.0
    #: Why the run did not end; None if it did.
    trouble: str | None = None
    #: What this machine lacks for it; None if nothing.
    lacks: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the counts equal those of an undisturbed run, or the machine could not run it."""
        return self.lacks is not None or (self.findings == Findings() and self.trouble is None)


def compare(undisturbed: Account, disturbed: Account, poison: frozenset[str] = frozenset()) -> Findings:
    """Return what differs; only the disturbed run had the images in `poison`, and it must quarantine only these."""
    fates = disturbed.fates
    lost = tuple(path for path in undisturbed.fates if not any(fate.state in _COUNTED for fate in fates.get(path, ())))
    repeated = sum(max(sum(fate.classifications for fate in of_path) - 1, 0) for of_path in fates.values())
    rows = sum(len(of_path) - 1 for of_path in fates.values() if of_path)
    different = [
        f"{path}: {_shown(fates[path])}, not {_shown(undisturbed.fates[path])}"
        for path in undisturbed.fates
        if path not in lost and len(fates[path]) == 1 and tuple(fates[path]) != tuple(undisturbed.fates[path])
    ]
    different += [
        f"{path}: nobody dropped it" for path in fates if path not in undisturbed.fates and path not in poison
    ]
    different += [
        f"{path}: {_shown(fates.get(path, ()))}, not set aside"
        for path in sorted(poison)
        if [(fate.state, fate.reason_code) for fate in fates.get(path, ())] != [_POISONED]
    ]
    different += _different_slides(undisturbed, disturbed, poison)
    return Findings(lost, repeated + rows + disturbed.same_bytes, tuple(different))


def recovery(injections: Sequence[Injection], beats: Sequence[Beat]) -> tuple[float, ...]:
    """Return for each fault the seconds from its end to the next result; leave out faults without one."""
    found = (
        next((beat.at for beat in beats if beat.at > ended_at and beat.last_result > then.last_result), None)
        for ended_at, then in injections
    )
    return tuple(at - ended_at for at, (ended_at, _) in zip(found, injections, strict=True) if at is not None)


def catching_up(injections: Sequence[Injection], beats: Sequence[Beat]) -> tuple[float, ...]:
    """Return for each fault the seconds from its end until everything known at that moment was finished."""
    found = (
        next(
            (
                beat.at
                for beat in beats
                if beat.at > ended_at and (beat.oldest_open is None or beat.oldest_open > then.newest_image)
            ),
            None,
        )
        for ended_at, then in injections
    )
    return tuple(at - ended_at for at, (ended_at, _) in zip(found, injections, strict=True) if at is not None)


def cells(row: Row) -> list[str]:
    """Return the cells of a row, in the order of HEADINGS."""
    if row.lacks is not None:
        return [row.what, f"not run: {row.lacks}", *[""] * (len(HEADINGS) - 2)]
    what = row.what if row.trouble is None else f"{row.what} ({row.trouble})"
    times = f"{row.times}" if row.times else ""
    counts = (row.images, len(row.findings.lost), row.findings.twice, len(row.findings.different))
    spans = (
        _seconds(median(row.recovery)) if row.recovery else "",
        _seconds(max(row.recovery, default=None)),
        _seconds(max(row.catching_up, default=None)),
    )
    return [what, times, *(f"{count:,}" for count in counts), *spans]


def markdown(rows: Sequence[Row]) -> str:
    """Return the table in Markdown for the documentation."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *map(cells, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _different_slides(undisturbed: Account, disturbed: Account, poison: frozenset[str]) -> list[str]:
    different = []
    for slide, before in undisturbed.differentials.items():
        set_aside = sum(path.startswith(f"{slide}/") for path in poison)
        expected = {**before, "quarantined": before["quarantined"] + set_aside}
        found = disturbed.differentials.get(slide, {})
        names = [name for name in expected if found.get(name) != expected[name]]
        if names:
            said = ", ".join(f"{name} {found.get(name)}, not {expected[name]}" for name in names)
            different.append(f"slide {slide}: {said}")
    strangers = sorted(disturbed.differentials.keys() - undisturbed.differentials.keys())
    return different + [f"slide {slide}: nobody dropped it" for slide in strangers]


def _shown(fates: Sequence[Fate]) -> str:
    return " and ".join(" ".join(str(one) for one in fate if one is not None) for fate in fates) or "nothing"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
