"""Simulated exports: one folder of cell images per slide, as an analyzer leaves them, and the true class of each cell."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smearcount.cli.simulation.composition import ROUTINE, check_composition, draw_composition, vary
from smearcount.cli.simulation.drawing import draw_cell
from smearcount.cli.simulation.errors import SimulationError
from smearcount.cli.simulation.pool import CellPool
from smearcount.differential.classes import CellClass
from smearcount.files.atomic import replace_file

JPEG_QUALITY = 92


@dataclass(frozen=True)
class ExportSummary:
    """The files that were written."""

    slides: int
    #: Cells over all slides.
    cells: int
    #: The CSV file with the true class of every cell.
    truth: Path


@dataclass(frozen=True)
class _Cell:
    """One image to write: its place, its class, and the real image that it copies or the seed of its drawing."""

    slide: str
    file: str
    label: CellClass
    source: Path | None
    seed: tuple[int, int, int]


def write_exports(  # noqa: PLR0913 - what the command line offers, by keyword
    out: Path,
    *,
    slides: int,
    cells: int,
    seed: int,
    source: Path | None,
    composition: Mapping[CellClass, float] | None,
    truth: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> ExportSummary:
    """Write `slides` folders of `cells` images each under `out`, and the true classes as CSV.

    Every image appears whole under its name, since a watcher may be watching. The same arguments write the same bytes.
    No existing file is overwritten. If it is interrupted, whole images remain, and the true classes of those.

    Args:
        out: The folder for the slides' folders; made if missing.
        slides: Number of slides.
        cells: Number of cells per slide.
        seed: Decides everything that is random; 0 or more.
        source: A tree of class folders, whose images are copied byte for byte, none twice on one slide. None to draw the
            cells.
        composition: Share of each class, met as exactly as whole cells allow. None for slides that vary around
            `composition.ROUTINE`.
        truth: The CSV file; None for `default_truth(out)`.
        progress: Called after each image with the number of images written so far.

    Raises:
        SimulationError: The numbers are impossible, a file is in the way, the source has too few images of a class, or
            the disk fails; the message says what to do.
        ModelsError: The source is not a tree of class folders.
    """
    _check_numbers(slides=slides, cells=cells, seed=seed)
    if composition is not None:
        check_composition(composition)
    truth = default_truth(out) if truth is None else truth
    _check_nothing_in_the_way(out, [_slide_name(number, slides) for number in range(1, slides + 1)], truth)
    pool = None if source is None else CellPool(source, np.random.default_rng((seed, 0, 0)))
    plan = [
        cell for number in range(1, slides + 1) for cell in _plan_slide(number, slides, cells, seed, composition, pool)
    ]

    written: list[_Cell] = []
    try:
        for cell in plan:
            _write_file(out / cell.slide / cell.file, _image_bytes(cell))
            written.append(cell)
            if progress is not None:
                progress(len(written))
    except OSError as error:
        raise SimulationError(f"cannot write the export: {error}") from error
    finally:
        # After an interruption too, so that the images written can be checked.
        if written:
            _write_truth(truth, written, with_source=pool is not None)
    return ExportSummary(slides=slides, cells=len(written), truth=truth)


def default_truth(out: Path) -> Path:
    """Return the CSV file for the true classes of the export under `out`: beside it, outside every slide.

    Raises:
        SimulationError: `out` is the root of a file system, so that no file can lie beside it.
    """
    named = out if out.name not in {"", ".."} else out.resolve()
    if not named.name:
        raise SimulationError(f"{out} is no place for an export; give a folder in it")
    return named.with_name(named.name + ".truth.csv")


def _check_numbers(*, slides: int, cells: int, seed: int) -> None:
    if slides < 1:
        raise SimulationError(f"{slides} slides cannot be written; ask for at least 1")
    if cells < 1:
        raise SimulationError(f"a slide of {cells} cells cannot be written; ask for at least 1")
    if seed < 0:
        raise SimulationError(f"the seed is {seed}; it must be 0 or more")


def _check_nothing_in_the_way(out: Path, slides: list[str], truth: Path) -> None:
    try:
        if out.exists() and not out.is_dir():
            raise SimulationError(f"{out} is a file; give a folder for the export")
        for slide in (out / name for name in slides):
            if slide.exists() and not (slide.is_dir() and next(slide.iterdir(), None) is None):
                raise SimulationError(
                    f"{slide} exists already and is not overwritten; choose another folder or delete it"
                )
        if truth.exists():
            raise SimulationError(f"{truth} exists already and is not overwritten; move it away or name another file")
    except OSError as error:
        raise SimulationError(f"cannot write the export: {error}") from error


def _plan_slide(
    number: int,
    slides: int,
    cells: int,
    seed: int,
    composition: Mapping[CellClass, float] | None,
    pool: CellPool | None,
) -> Iterator[_Cell]:
    """Decide each cell of one slide. A slide does not depend on the number of slides."""
    rng = np.random.default_rng((seed, number, 0))
    labels = draw_composition(vary(ROUTINE, rng) if composition is None else composition, cells, rng)
    sources = [None] * cells if pool is None else pool.hand_out(labels)
    digits = max(4, len(str(cells)))
    for place, (label, source) in enumerate(zip(labels, sources, strict=True), start=1):
        suffix = ".jpg" if source is None else source.suffix.lower()
        yield _Cell(
            slide=_slide_name(number, slides),
            file=f"cell-{place:0{digits}}{suffix}",
            label=label,
            source=source,
            seed=(seed, number, place),
        )


def _slide_name(number: int, slides: int) -> str:
    return f"slide-{number:0{max(3, len(str(slides)))}}"


def _image_bytes(cell: _Cell) -> bytes:
    if cell.source is not None:
        return cell.source.read_bytes()
    stream = io.BytesIO()
    draw_cell(cell.label, np.random.default_rng(cell.seed)).save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def _write_truth(truth: Path, cells: list[_Cell], *, with_source: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["slide", "file", "class", *(["source"] if with_source else [])])
    for cell in cells:
        writer.writerow([cell.slide, cell.file, cell.label, *([cell.source.name] if cell.source else [])])
    try:
        _write_file(truth, text.getvalue().encode())
    except OSError as error:
        raise SimulationError(f"cannot write the truth: {error}") from error


def _write_file(path: Path, data: bytes) -> None:
    """Write a file that is never seen half written: a watcher may be looking on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
