"""The bounds that smearcount has to keep, and whether a run of the benchmarks keeps them."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Bound:
    """One line of the table: a figure and its bound."""

    what: str
    #: Computes the figure from the measurements; raises KeyError if they are missing.
    figure: Callable[[Figures], float]
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    @property
    def wanted(self) -> str:
        """The bound in words."""
        limit, word = (self.at_least, "at least") if self.at_least is not None else (self.at_most, "at most")
        return f"{word} {limit:g}{self.unit}"

    def holds(self, figure: float) -> bool:
        """Tell whether the figure keeps the bound."""
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)


@dataclass(frozen=True)
class Verdict:
    """A bound and the measured figure."""

    what: str
    wanted: str
    #: None if this run did not measure it.
    measured: float | None
    holds: bool | None
    #: Why this machine cannot measure it; None if it can.
    why_not: str = ""


def _slowest(figures: Figures, question: str) -> float:
    return float(max(answers[question]["p99"] for answers in figures["queries"].values()))


class Unavailable(Exception):
    """This machine cannot measure the figure; the message says why."""


def _ratio(figures: Figures, one: str, other: str, part: str = "speed") -> float:
    """Return the median of the rounds' ratios: a busy minute that hits a whole round does not change its ratio."""
    if "unavailable" in figures[part]:
        raise Unavailable(figures[part]["unavailable"])
    rounds = figures[part]["rounds"]
    return float(statistics.median(a / b for a, b in zip(rounds[one], rounds[other], strict=True)))


BOUNDS = (
    Bound("pipeline / floor, all cores", lambda f: _ratio(f, "pipeline_all", "floor_all"), at_least=0.85),
    Bound("pipeline / floor, one core", lambda f: _ratio(f, "pipeline_one", "floor_one"), at_least=0.85),
    Bound("pipeline / peer", lambda f: f["speed"]["pipeline_all"] / f["peer"]["images_per_second"], at_least=20),
    Bound("pipeline / script with the seed network", lambda f: f["speed"]["pipeline_all"] / f["script"]["seed"], at_least=5),
    Bound("2 workers / 1 worker", lambda f: _ratio(f, "pipeline_all", "pipeline_one_worker"), at_least=1.8),
    Bound("2 hosts with a worker / 1 host", lambda f: _ratio(f, "two_helpers", "one_helper", "hosts"), at_least=1.8),
    Bound("throughput at the most images / at the fewest", lambda f: f["growth"][-1]["images_per_second"]
          / f["growth"][0]["images_per_second"], at_least=0.95),
    Bound("worker start to first stored result", lambda f: f["worker"]["first_result_seconds"], at_most=2, unit=" s"),
    Bound("memory per worker", lambda f: max(f["worker"]["process_megabytes"], f["worker"]["share_megabytes"]), at_most=200,
          unit=" MB"),
    Bound("differential of one slide in the archive, p99", lambda f: _slowest(f, "one slide's differential"), at_most=10,
          unit=" ms"),
    Bound("a page of slides of the archive, p99", lambda f: _slowest(f, "a page of slides"), at_most=50, unit=" ms"),
    Bound("file complete to row stored, beyond settling, p50", lambda f: f["latency"]["alone"]["p50"] * 1000, at_most=150,
          unit=" ms"),
    Bound("messages to a receiver on this machine, a second", lambda f: min(one["messages_per_second"]
          for one in f["delivery"].values()), at_least=200),
    Bound("signature to receiver, longest", lambda f: max(one["seconds_to_receiver_longest"] for one in f["delivery"].values()),
          at_most=1, unit=" s"),
)  # fmt: skip


def verdicts(figures: Figures) -> list[Verdict]:
    """Compare the figures of a run with the bounds."""
    lines = []
    for bound in BOUNDS:
        try:
            measured = bound.figure(figures)
        except KeyError:
            lines.append(Verdict(bound.what, bound.wanted, None, None))
        except Unavailable as error:
            lines.append(Verdict(bound.what, bound.wanted, None, None, str(error)))
        else:
            lines.append(Verdict(bound.what, bound.wanted, measured, bound.holds(measured)))
    return lines
