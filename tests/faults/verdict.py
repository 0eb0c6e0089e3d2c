"""Whether a disturbed run counted what an undisturbed one did, how soon it went on, and the table that says so."""

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
    """What became of one version of a file."""

    state: str
    reason_code: str | None
    cell_class: str | None
    identified: bool | None
    #: Rows that say what a model made of it.
    classifications: int


@dataclass(frozen=True)
class Account:
    """What a database holds after a run."""

    #: By path within the inbox: a file that counts as it should has one fate.
    fates: Mapping[str, Sequence[Fate]]
    #: How often the same bytes count once more in one slide.
    same_bytes: int
    #: By slide: every number of its differential, by name.
    differentials: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Findings:
    """How a disturbed run differs from an undisturbed one; empty where it does not."""

    #: Files that do not count.
    lost: tuple[str, ...] = ()
    twice: int = 0
    #: What else is not as it was, in words.
    different: tuple[str, ...] = ()


class Beat(NamedTuple):
    """How far a run had come at a moment."""

    #: Seconds, of any origin.
    at: float
    last_result: int
    newest_image: int
    oldest_open: int | None


class Injection(NamedTuple):
    """One fault of a run: when it was over, and how far the run had come then."""

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
    #: For each fault, seconds from its end until all is finished that was open then.
    catching_up: tuple[float, ...] = ()
    #: Seconds from the first file to the last slide's completion.
    seconds: float = 0.0
    #: What kept the run from its end.
    trouble: str | None = None
    #: What this machine lacks for it.
    lacks: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the counts are those of an undisturbed run; also where the machine lacks something."""
        return self.lacks is not None or (self.findings == Findings() and self.trouble is None)


def compare(undisturbed: Account, disturbed: Account, poison: frozenset[str] = frozenset()) -> Findings:
    """Return what differs; images in `poison` were in the disturbed run alone, and should be the only ones set aside."""
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
    """Return for each fault the seconds from its end to the next result; none where no result came after it."""
    found = (
        next((beat.at for beat in beats if beat.at > ended_at and beat.last_result > then.last_result), None)
        for ended_at, then in injections
    )
    return tuple(at - ended_at for at, (ended_at, _) in zip(found, injections, strict=True) if at is not None)


def catching_up(injections: Sequence[Injection], beats: Sequence[Beat]) -> tuple[float, ...]:
    """Return for each fault the seconds from its end until nothing was open of what was known then."""
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
    """Return what stands in the columns of a row, in the order of HEADINGS."""
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
    """Return the table as it stands in the documentation."""
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
