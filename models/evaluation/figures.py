"""Figures of an evaluation and of a training run, as PNG files.

Matplotlib draws them without pyplot: no window and no state, on a machine without a screen too. It comes with the extra
`evaluate`, which workers do not install: call `require_matplotlib` before any long work begins.
"""

# ruff: noqa: PLC0415  (Matplotlib takes a second to load and only the figures need it: it is imported where it is used)

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from smearcount.differential.classes import DISPLAY_NAMES, CellClass
from smearcount.differential.intervals import clopper_pearson
from smearcount.files.atomic import replace_file
from smearcount.models.errors import ModelsError, RuntimeMissing
from smearcount.models.evaluation.calibration import BINS, reliability, risk_coverage
from smearcount.models.evaluation.calls import Calls
from smearcount.models.evaluation.evaluation import Evaluation
from smearcount.models.evaluation.report import percent, report_json, review_text
from smearcount.models.preprocessing import decode_cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_BLUE, _RED, _GREY = "#1f5a96", "#b3261e", "#666666"

#: Mistakes on the contact sheet at most, and in one row of it.
_MOST_MISTAKES = 40
_PER_ROW = 8

#: Captions narrow enough to stand under a cell.
_CAPTIONS = {**DISPLAY_NAMES, CellClass.IG: "Immature gran.", CellClass.ERYTHROBLAST: "Erythroblast"}

_LOG_COLUMNS = ("epoch", "side", "loss", "seconds")


def require_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        RuntimeMissing: Matplotlib is not installed; says how to install it.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise RuntimeMissing(
            f"Matplotlib cannot be loaded ({error}); install it with: pip install 'smearcount[evaluate]'"
        ) from None


def write_report(evaluation: Evaluation, calls: Calls, folder: Path, *, draw: bool = True) -> tuple[Path, ...]:
    """Write evaluation.json and the figures into `folder`, made if needed, and return their paths.

    Args:
        evaluation: the figures.
        calls: what they were made from; the contact sheet of mistakes reads the images again.
        folder: where to; files of these names in it are replaced.
        draw: whether the figures are wanted; without them, Matplotlib is not needed.

    Raises:
        ModelsError: the folder cannot be written to.
        ImageRefused: an image has changed since it was classified.
        RuntimeMissing: Matplotlib is not installed.
    """
    figures = _figures(evaluation, calls) if draw else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        report = folder / "evaluation.json"
        replace_file(report, report_json(evaluation).encode())
        for name, figure in figures.items():
            _save(figure, folder / name)
    except OSError as error:
        raise ModelsError(f"the report cannot be written to {folder} ({error.strerror or error})") from None
    return (report, *(folder / name for name in figures))


def _figures(evaluation: Evaluation, calls: Calls) -> dict[str, Figure]:
    """Return the figures by the names of their files."""
    return {
        "confusion.png": _confusion(evaluation),
        "reliability.png": _reliability(evaluation, calls),
        "risk_coverage.png": _risk_coverage(evaluation, calls),
        "mistakes.png": _mistakes(calls),
    }


def training_curve(log_csv: Path, png: Path) -> None:
    """Draw loss and validation accuracy over the epochs of a training log, as `models.training.checkpoints` writes it.

    Args:
        log_csv: with the columns epoch, side (px), loss, seconds and, where it was measured, validation_accuracy (0-1).
        png: the picture, replaced if it is there.

    Raises:
        ModelsError: the log cannot be read, or the picture not be written.
        RuntimeMissing: Matplotlib is not installed.
    """
    rows = _log_rows(log_csv)
    try:
        epochs, sides, losses, seconds = ([float(row[name]) for row in rows] for name in _LOG_COLUMNS)
        measured = [
            (int(row["epoch"]), float(row["validation_accuracy"])) for row in rows if row.get("validation_accuracy")
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelsError(
            f"{log_csv} is no training log with the columns {', '.join(_LOG_COLUMNS)} ({error})"
        ) from None
    figure = _figure(9, 7)
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.set(title=f"Training: {len(rows)} epochs, {sum(seconds) / 3600:.1f} hours", ylabel="mean loss")
    top.plot(epochs, losses, color=_BLUE, marker=".")
    top.set_ylim(bottom=0)
    bottom.set(xlabel="epoch", ylabel="right calls, %", title="Validation accuracy: not measured")
    if measured:
        bottom.plot(*zip(*((epoch, 100 * share) for epoch, share in measured), strict=True), color=_BLUE, marker="o")
        last_epoch, last = measured[-1]
        bottom.set_title(f"Validation accuracy: {100 * last:.2f} % after epoch {last_epoch}")
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    _mark_sides(top, bottom, epochs, sides)
    try:
        _save(figure, png)
    except OSError as error:
        raise ModelsError(f"the training curve cannot be written to {png} ({error.strerror or error})") from None


def _log_rows(log_csv: Path) -> list[dict[str, str]]:
    try:
        with log_csv.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelsError(f"{log_csv} cannot be read as a training log ({error})") from None
    if not rows:
        raise ModelsError(f"{log_csv} holds no epoch yet")
    return rows


def _mark_sides(top: Axes, bottom: Axes, epochs: list[float], sides: list[float]) -> None:
    """Mark where images of another size begin."""
    for i, side in enumerate(sides):
        if i and side == sides[i - 1]:
            continue
        # Write at the foot, where the loss seldom comes; x counts epochs, y is a share of the panel's height.
        top.text(epochs[i], 0.04, f"{side:g} px", transform=top.get_xaxis_transform(), color=_GREY)
        if i:
            for axes in (top, bottom):
                axes.axvline(epochs[i] - 0.5, color=_GREY, linestyle=":")


def _confusion(evaluation: Evaluation) -> Figure:
    counts = np.array(evaluation.confusion)
    seen = counts.sum(axis=1, keepdims=True)
    shares = 100 * counts / np.maximum(seen, 1)
    figure = _figure(10.5, 9)
    from matplotlib.colors import PowerNorm

    axes = figure.subplots()
    # Colour by the square root of the share, so that a mistake of 1 % can be seen beside a diagonal of 98 %.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 100))
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 1, 5, 10, 25, 50, 75, 100])
    bar.set_label("percent of the label's images")
    names = [DISPLAY_NAMES[label].replace(" ", "\n", 1) for label in CellClass]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), [f"{name}\n{n:,}" for name, n in zip(names, seen[:, 0].tolist(), strict=True)])
    axes.set(xlabel="called", ylabel="labelled (with the number of images)")
    axes.set_title(
        f"{_model(evaluation)}: {evaluation.images:,} images, {percent(evaluation.accuracy)} % called rightly"
    )
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            axes.text(
                column,
                row,
                f"{counts[row, column]:,}\n{shares[row, column]:.1f} %",
                ha="center",
                va="center",
                fontsize=9,
                color="white" if shares[row, column] > 40 else "black",
            )
    return figure


def _reliability(evaluation: Evaluation, calls: Calls) -> Figure:
    found = reliability(calls.confidences, calls.correct)
    filled = np.flatnonzero(found.images)
    centres = (np.arange(BINS) + 0.5) / BINS
    bounds = [clopper_pearson(int(found.correct[i]), int(found.images[i])) for i in filled]
    accuracy = 100 * found.accuracy[filled]
    spread = [accuracy - [bound.low for bound in bounds], [bound.high for bound in bounds] - accuracy]
    figure = _figure(8, 9)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 100], [0, 100], color=_GREY, linestyle="--", label="perfectly calibrated")
    top.bar(100 * centres[filled], accuracy, 100 / BINS, color=_BLUE, alpha=0.25, edgecolor=_BLUE)
    top.errorbar(
        100 * found.confidence[filled], accuracy, np.maximum(spread, 0), color=_BLUE, fmt="o", capsize=3, clip_on=False,
        label="found, with 95 % interval",
    )  # fmt: skip
    threshold = evaluation.model.threshold
    for axes in (top, bottom):
        axes.axvline(100 * threshold, color=_RED, linestyle=":", label=f"threshold in force, {threshold:g}")
        axes.grid(alpha=0.3)
    top.set(ylabel="right calls, %", xlim=(0, 100), ylim=(0, 102))
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    top.set_title(
        f"{_model(evaluation)}: expected calibration error {percent(evaluation.expected_calibration_error)} % "
        f"({evaluation.images:,} images)"
    )
    bars = bottom.bar(100 * centres, found.images, 100 / BINS, color=_BLUE, alpha=0.6, edgecolor="white")
    bottom.bar_label(bars, [f"{n:,}" if n else "" for n in found.images.tolist()], fontsize=8)
    bottom.set(xlabel="confidence, %", ylabel="images (log)", yscale="log", ylim=(0.7, 5 * found.images.max()))
    return figure


def _risk_coverage(evaluation: Evaluation, calls: Calls) -> Figure:
    levels = np.unique(np.append(calls.confidences, np.nextafter(calls.confidences.max(), 2)))
    curve = risk_coverage(calls.confidences, calls.correct, levels)
    review, some = 100 * (1 - curve.coverage), curve.coverage > 0
    in_force = next(row for row in evaluation.thresholds if row.in_force)
    figure = _figure(11, 5.5)
    left, right = figure.subplots(1, 2)
    figure.suptitle(f"{_model(evaluation)}, threshold {in_force.threshold:g}: {review_text(evaluation)}")
    left.step(review[some], 100 * curve.risk[some], where="post", color=_BLUE)
    left.set(ylabel="errors among the cells counted, %", title="What is still wrong")
    right.set(ylabel="of all errors, share sent to review, %", title="What review finds", ylim=(-5, 102))
    if np.isfinite(curve.caught).all():
        right.step(review, 100 * curve.caught, where="post", color=_BLUE, label="least confident first")
        right.plot([0, 100], [0, 100], color=_GREY, linestyle="--", label="drawn by lot")
    else:
        right.text(0.5, 0.5, "no call is wrong", transform=right.transAxes, ha="center", color=_GREY)
    _mark_thresholds(evaluation, left, right)
    # Further right, the curve is about thresholds that nobody would choose.
    widest = min(100.0, max(10.0, 250 * in_force.review))
    for axes in (left, right):
        axes.set(xlabel="cells left for review, %", xlim=(-widest / 50, 1.04 * widest))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower right" if axes is right else "upper right")
    left.set_ylim(bottom=0)
    return figure


def _mark_thresholds(evaluation: Evaluation, left: Axes, right: Axes) -> None:
    """Mark the tabulated thresholds on the curves, and name them."""
    for row in evaluation.thresholds:
        # Put each name on the side of its curve where nothing else is drawn.
        for axes, share, offset in ((left, row.errors_counted, (6, 5)), (right, row.errors_in_review, (6, -12))):
            if share is None:
                continue
            at = (100 * row.review, 100 * share)
            if row.in_force:
                axes.plot(*at, "o", color=_RED, markersize=9, label=f"in force: {row.threshold:g}")
            else:
                axes.plot(*at, "o", color=_BLUE, markersize=5)
                axes.annotate(f"{row.threshold:g}", at, offset, textcoords="offset points", fontsize=8, clip_on=True)


def _mistakes(calls: Calls) -> Figure:
    wrong = np.flatnonzero(~calls.correct)
    worst = wrong[np.argsort(-calls.confidences[wrong], kind="stable")][:_MOST_MISTAKES]
    rows = max(1, -(-len(worst) // _PER_ROW))
    figure = _figure(1.75 * _PER_ROW, 2.3 * rows + 0.9)
    if not len(worst):
        figure.suptitle(f"No mistakes among {len(calls.labels):,} images", y=0.5)
        return figure
    which = f"The {len(worst)} most confident of {len(wrong):,}" if len(wrong) > len(worst) else f"All {len(wrong):,}"
    figure.suptitle(f"{which} mistakes among {len(calls.labels):,} images: label, call, confidence")
    grid = figure.subplots(rows, _PER_ROW, squeeze=False).ravel().tolist()
    for axes in grid:
        axes.set_axis_off()
    for axes, i in zip(grid, worst.tolist(), strict=False):
        axes.imshow(decode_cell(calls.paths[i].read_bytes()))
        axes.set_title(_caption(calls, i), fontsize=8.5, color="black" if calls.identified[i] else _GREY)
    figure.supxlabel("in black: counted wrongly; in grey: left for review", fontsize=9)
    return figure


def _caption(calls: Calls, i: int) -> str:
    order = list(CellClass)
    label, called = (_CAPTIONS[order[index]] for index in (calls.labels[i], calls.called[i]))
    return f"{label}\n→ {called}\n{calls.confidences[i]:.3f}"


def _model(evaluation: Evaluation) -> str:
    return f"{evaluation.model.name} {evaluation.model.version}"


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height are in inches."""
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="png")  # PNG is drawn by Agg, whatever backend the machine is set to
