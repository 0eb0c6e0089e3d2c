"""What training and evaluation report is drawn on a terminal only, and never between a command's results."""

import io

import pytest
from rich.console import Console

from smearcount.cli.views.computation import ComputationView


def terminal(*, is_terminal: bool) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=is_terminal, width=100), stream


def report(view: ComputationView) -> None:
    view.line("training on 3 images")
    for epoch in (1, 2):
        for step in range(3):
            view.step(f"epoch {epoch}/2", step + 1, 3, "loss 0.5")
        view.line(f"epoch {epoch} loss 0.5")


def test_a_terminal_shows_each_stage_and_the_lines_are_results(capsys: pytest.CaptureFixture[str]) -> None:
    console, stream = terminal(is_terminal=True)
    with ComputationView(console) as view:
        report(view)
    for words in ("epoch 1/2", "epoch 2/2", "3/3", "loss 0.5"):
        assert words in stream.getvalue()
    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["training on 3 images", "epoch 1 loss 0.5", "epoch 2 loss 0.5"]
    assert printed.err == ""


def test_elsewhere_only_the_lines_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    console, stream = terminal(is_terminal=False)
    with ComputationView(console) as view:
        report(view)
    assert stream.getvalue() == ""
    assert capsys.readouterr().out.splitlines() == ["training on 3 images", "epoch 1 loss 0.5", "epoch 2 loss 0.5"]


def test_the_bar_goes_when_the_computation_fails() -> None:
    console, stream = terminal(is_terminal=True)

    def fail() -> None:
        with ComputationView(console) as view:
            view.step("classifying", 1, 2)
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 (raised above)
        fail()
    shown = stream.getvalue()
    assert shown.endswith("\x1b[?25h\r\x1b[1A\x1b[2K"), "the cursor is back and the line is cleared"
