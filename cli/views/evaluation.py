"""An evaluation of a model as tables for a terminal.

Tables fit 100 columns, in plain ASCII beside the lines that rich draws, and round to a tenth of a percent.
"""

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smearcount.differential.classes import DISPLAY_NAMES, SHORT_NAMES, CellClass
from smearcount.models.evaluation.evaluation import Evaluation
from smearcount.models.evaluation.intervals import ShareInterval
from smearcount.models.evaluation.ood_scores import OodScores
from smearcount.models.evaluation.report import percent, review_text
from smearcount.models.evaluation.shift_scores import ShiftScores
from smearcount.models.evaluation.thresholds import ThresholdRow

_NOTHING = "-"


def evaluation_table(evaluation: Evaluation) -> Group:
    """Return the evaluation for a terminal of 100 columns."""
    return Group(
        _summary(evaluation),
        Text(),
        Text(f" Threshold {evaluation.model.threshold:g}: {review_text(evaluation)}.", style="bold"),
        *_titled("Per class, in percent, with 95 % intervals", _classes(evaluation)),
        *_titled("Images by label (rows) and call (columns)", _confusion(evaluation)),
        *_titled("What a threshold costs and brings, in percent", _thresholds(evaluation)),
        *_titled("In simulated foreign stains, in percent", _shifts(evaluation.shifts)),
        *_titled("Images of another kind: share left unidentified, in percent", _ood_probes(evaluation.ood_probes)),
        Text(),
        Text("Intervals cover the chance of drawing these images, not other stains, slides or sites.", style="dim"),
    )


def _with_interval(share: float | None, interval: ShareInterval | None) -> str:
    if interval is None:
        return percent(share)
    return f"{percent(share)} ({percent(interval.low)}-{percent(interval.high)})"


def _summary(evaluation: Evaluation) -> Table:
    model, of = evaluation.model, evaluation.intervals
    facts = {
        "Model": f"{model.name} {model.version} (SHA-256 {model.sha256[:12]}), {model.preprocessing}",
        "Images": f"{evaluation.images:,}",
        "Accuracy": f"{_with_interval(evaluation.accuracy, of.accuracy)} %",
        "Balanced accuracy (macro recall)": f"{_with_interval(evaluation.macro_recall, of.macro_recall)} %",
        "Calibration error (ECE)": f"{percent(evaluation.expected_calibration_error)} %",
    }
    if evaluation.unidentified_by_ood is not None:
        facts["Unlike the training images"] = (
            f"{percent(evaluation.unidentified_by_ood)} % of the cells, though confident enough"
        )
    if evaluation.accuracy_of_identified is not None:
        facts["Of the cells counted"] = f"{percent(evaluation.accuracy_of_identified)} % are right"
    if evaluation.refused:
        facts["Refused"] = ", ".join(f"{count} {code}" for code, count in evaluation.refused.items())
    facts["Speed"] = (
        f"decoding {evaluation.decode_per_second:,.0f} images/s, network {evaluation.network_per_second:,.0f} images/s"
    )
    summary = Table.grid(padding=(0, 2))
    summary.add_column(no_wrap=True)
    summary.add_column(overflow="fold")
    for name, value in facts.items():
        # The tables below are indented by one: the edge of their box.
        summary.add_row(f" {name}", Text(value))
    return summary


def _classes(evaluation: Evaluation) -> Table:
    table = _table("Class", "Images", "Precision", "Recall", "F1")
    for label, scores in evaluation.classes.items():
        of_class = evaluation.intervals.classes[label]
        table.add_row(
            DISPLAY_NAMES[label],
            str(scores.images),
            _with_interval(scores.precision, of_class.precision),
            _with_interval(scores.recall, of_class.recall),
            _with_interval(scores.f1, of_class.f1),
        )
    return table


def _confusion(evaluation: Evaluation) -> Table:
    table = _table("Label", *(SHORT_NAMES[label] for label in CellClass))
    for label, row in zip(CellClass, evaluation.confusion, strict=True):
        table.add_row(DISPLAY_NAMES[label], *(str(images) if images else "." for images in row))
    return table


def _thresholds(evaluation: Evaluation) -> Table:
    table = _table("Threshold", "Cells to review", "Errors among them", "Errors among those counted")
    for row in evaluation.thresholds:
        table.add_row(*_threshold_cells(row), style="bold" if row.in_force else None)
    return table


def _threshold_cells(row: ThresholdRow) -> Iterable[str]:
    yield f"{row.threshold:g}" + (" in force" if row.in_force else "")
    yield percent(row.review)
    yield f"{percent(row.errors_in_review)} of all"
    yield _NOTHING if row.errors_counted is None else f"{row.errors_counted:.2%}".removesuffix("%")


def _shifts(shifts: Iterable[ShiftScores]) -> Table:
    table = _table("Stain", "Images", "Right", "Counted", "Right among those counted", "Calibration error (ECE)")
    for scores in shifts:
        table.add_row(
            scores.name,
            str(scores.images),
            percent(scores.accuracy),
            percent(scores.counted),
            percent(scores.accuracy_of_counted),
            percent(scores.expected_calibration_error),
        )
    return table


def _ood_probes(probes: Iterable[OodScores]) -> Table:
    table = _table("Kind", "Family", "Images", "Unidentified", "Counted", "Most as", text_columns=(0, 1, 5))
    for scores in probes:
        counted = sum(scores.called.values())
        most = _NOTHING
        if scores.called:
            label, images = next(iter(scores.called.items()))
            most = f"{DISPLAY_NAMES[label]} ({images})"
        table.add_row(scores.name, scores.family, str(scores.images), percent(scores.unidentified), str(counted), most)
    return table


def _titled(title: str, table: Table) -> Iterable[RenderableType]:
    # A title of the table's own would be centred, and broken where the table is narrower.
    return Text(), Text(f" {title}", style="italic"), table


def _table(*headings: str, text_columns: tuple[int, ...] = (0,)) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number in text_columns else "right", overflow="fold")
    return table
