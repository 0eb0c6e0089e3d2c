"""The fault campaign's verdict finds every image that is lost, counted twice or different, and measures recovery."""

from dataclasses import replace
from pathlib import Path

import pytest

from faults.document import replaced
from faults.verdict import (
    Account,
    Beat,
    Fate,
    Findings,
    Injection,
    Row,
    catching_up,
    cells,
    compare,
    markdown,
    recovery,
)

NEUTROPHIL = Fate("done", None, "neutrophil", identified=True, classifications=1)
MONOCYTE = NEUTROPHIL._replace(cell_class="monocyte")
SET_ASIDE = Fate("quarantined", "kills-worker", None, None, 0)
NUMBERS = {"neutrophil": 1, "monocyte": 1, "quarantined": 0, "complete": 1}
CALM = Account({"S1/1.jpg": [NEUTROPHIL], "S1/2.jpg": [MONOCYTE]}, 0, {"S1": NUMBERS})


def disturbed(**fates: list[Fate]) -> Account:
    """Return the account of a run in which these files, by number, had other fates."""
    return replace(CALM, fates={**CALM.fates, **{f"S1/{name[1:]}.jpg": fate for name, fate in fates.items()}})


def test_the_same_counts_are_no_finding() -> None:
    assert compare(CALM, disturbed()) == Findings()


@pytest.mark.parametrize(
    "fates",
    [[], [NEUTROPHIL._replace(state="pending", classifications=0)], [Fate("quarantined", "gone", None, None, 0)]],
    ids=["no-row", "still-open", "set-aside"],
)
def test_an_image_that_does_not_count_is_lost(fates: list[Fate]) -> None:
    assert compare(CALM, disturbed(_1=fates)).lost == ("S1/1.jpg",)


def test_a_file_without_any_row_is_lost() -> None:
    assert compare(CALM, replace(CALM, fates={"S1/2.jpg": [MONOCYTE]})).lost == ("S1/1.jpg",)


def test_results_beyond_the_first_count_twice() -> None:
    assert compare(CALM, disturbed(_1=[NEUTROPHIL._replace(classifications=3)])).twice == 2


def test_two_rows_of_one_file_count_twice() -> None:
    assert compare(CALM, disturbed(_1=[NEUTROPHIL, NEUTROPHIL._replace(classifications=0)])).twice == 1


def test_the_same_bytes_count_twice() -> None:
    assert compare(CALM, replace(CALM, same_bytes=2)).twice == 2


@pytest.mark.parametrize(
    "fate", [MONOCYTE, NEUTROPHIL._replace(identified=False), NEUTROPHIL._replace(state="duplicate")]
)
def test_another_outcome_is_different(fate: Fate) -> None:
    (said,) = compare(CALM, disturbed(_1=[fate])).different
    assert said.startswith("S1/1.jpg: ")


def test_a_file_that_nobody_dropped_is_different() -> None:
    assert compare(CALM, disturbed(_9=[NEUTROPHIL])).different == ("S1/9.jpg: nobody dropped it",)


@pytest.mark.parametrize("numbers", [{**NUMBERS, "monocyte": 2}, {**NUMBERS, "complete": 0}, {}])
def test_another_differential_is_different(numbers: dict[str, int]) -> None:
    (said,) = compare(CALM, replace(CALM, differentials={"S1": numbers})).different
    assert said.startswith("slide S1: ")


def test_a_slide_that_nobody_dropped_is_different() -> None:
    account = replace(CALM, differentials={"S1": NUMBERS, "S2": NUMBERS})
    assert compare(CALM, account).different == ("slide S2: nobody dropped it",)


def test_poison_is_to_be_set_aside_and_nothing_else() -> None:
    poison = frozenset({"S1/9.jpg"})
    numbers = {"S1": {**NUMBERS, "quarantined": 1}}

    assert compare(CALM, replace(disturbed(_9=[SET_ASIDE]), differentials=numbers), poison) == Findings()
    assert compare(CALM, replace(disturbed(_9=[NEUTROPHIL]), differentials=numbers), poison).different
    assert compare(CALM, replace(disturbed(), differentials=numbers), poison).different
    assert compare(CALM, disturbed(_9=[SET_ASIDE]), poison).different


BEATS = [
    Beat(1.0, last_result=10, newest_image=20, oldest_open=11),
    Beat(2.0, last_result=10, newest_image=20, oldest_open=11),
    Beat(3.0, last_result=12, newest_image=30, oldest_open=15),
    Beat(4.0, last_result=29, newest_image=30, oldest_open=21),
    Beat(5.0, last_result=30, newest_image=30, oldest_open=None),
]


def test_recovery_is_the_time_to_the_next_result() -> None:
    assert recovery([Injection(1.5, BEATS[1]), Injection(2.5, BEATS[2])], BEATS) == (1.5, 1.5)


def test_no_result_after_a_fault_gives_no_figure() -> None:
    assert recovery([Injection(4.5, BEATS[4])], BEATS) == ()


def test_catching_up_is_the_time_until_nothing_is_open_that_was() -> None:
    assert catching_up([Injection(1.5, BEATS[1]), Injection(3.5, BEATS[3])], BEATS) == (2.5, 1.5)


ROW = Row("worker-killed", "worker, SIGKILL", times=3, images=5000, recovery=(1.0, 4.0, 2.0), catching_up=(9.0,))


def test_a_row_says_what_was_found() -> None:
    assert ROW.passed
    assert cells(ROW) == ["worker, SIGKILL", "3", "5,000", "0", "0", "0", "2.0", "4.0", "9.0"]


@pytest.mark.parametrize(
    "row", [replace(ROW, findings=Findings(lost=("S1/1.jpg",))), replace(ROW, findings=Findings(twice=1)),
            replace(ROW, findings=Findings(different=("S1/1.jpg",))), replace(ROW, trouble="waited in vain")],
)  # fmt: skip
def test_a_row_with_any_finding_has_not_passed(row: Row) -> None:
    assert not row.passed


def test_a_row_that_was_not_run_says_so() -> None:
    row = Row("clock-ahead", "clock ahead", lacks="no C compiler")
    assert cells(row)[:2] == ["clock ahead", "not run: no C compiler"]
    assert len(markdown([ROW, row]).splitlines()) == 4


def test_the_document_keeps_all_but_the_table() -> None:
    text = "before\n<!-- table: written by make faults -->\nold\n<!-- end of table -->\nafter\n"
    assert replaced(text, "table", "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="users"):
        replaced(text, "users", "new")


def test_the_documentation_has_a_place_for_both_tables() -> None:
    text = (Path(__file__).parents[3] / "docs" / "faults.md").read_text()
    for name in ("table", "users"):
        assert replaced(text, name, "new").count("\nnew\n") == 1
