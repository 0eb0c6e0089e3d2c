"""A soak passes only if it keeps every bound, and its tables go to their place in the documentation."""

from dataclasses import replace
from pathlib import Path

import pytest

from faults.soak.report import Injected, Soak, markdown, rewrite
from faults.soak.samples import Steadiness

_STEADY = Steadiness("watcher", 3, 90.0, 60.0, 12.0, 0.4, 0.0, 0)
_GOOD = Soak(
    minutes=60, pause=90, seed=1, processor="a processor", cores=2, has_hosts=True, throughput=500.0, load=250.0, sent=900_000,
    counted=900_000, lost=0, twice=0, called_otherwise=0, seconds_to_the_end=9.0,
    injected=[Injected(60, "worker-killed", 1.0, 0.5), Injected(150, "worker-killed", 1.0, 2.5)], troubles=[],
    steadiness=[_STEADY], answers={"200": 9_000, "503": 12},
)  # fmt: skip


def test_a_run_within_all_bounds_has_no_failures() -> None:
    assert _GOOD.failures() == []


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (replace(_GOOD, lost=1), "1 images lost"),
        (replace(_GOOD, twice=2), "2 images counted twice"),
        (replace(_GOOD, called_otherwise=3), "3 images called otherwise"),
        (replace(_GOOD, troubles=["broker-killed: it did not come back"]), "it did not come back"),
        (replace(_GOOD, steadiness=[replace(_STEADY, growth_percent=5.1)]), "memory grows"),
        (replace(_GOOD, steadiness=[replace(_STEADY, handles_growth=1.1)]), "open files"),
        (replace(_GOOD, steadiness=[replace(_STEADY, growth_percent=None)]), "lived long enough"),
        (replace(_GOOD, steadiness=[replace(_STEADY, zombies=1)]), "zombies"),
    ],
)
def test_every_bound_that_is_not_kept_is_said(bad: Soak, says: str) -> None:
    (failure,) = bad.failures()
    assert says in failure


def test_the_tables_replace_those_of_the_run_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Faults\n\n<!-- soak: written by make soak -->\nold\n<!-- end of soak -->\n\nThe rest.\n")
    rewrite(page, _GOOD)
    rewrite(page, _GOOD)
    text = page.read_text()
    assert text.count("| images sent | 900,000 |") == 1
    assert "old" not in text
    assert text.startswith("# Faults\n\n<!-- soak")
    assert text.endswith("<!-- end of soak -->\n\nThe rest.\n")


def test_a_page_without_a_place_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Faults\n")
    with pytest.raises(ValueError, match="no place"):
        rewrite(page, _GOOD)
    assert page.read_text() == "# Faults\n"


def test_faults_are_told_with_their_number() -> None:
    assert "worker-killed (2 times)" in markdown(_GOOD)
    assert "1.5 s; longest 2.5 s" in markdown(_GOOD)
