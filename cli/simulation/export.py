"""Simulated exports: one folder of cell images per slide, as an analyzer leaves them, and the truth about them."""

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

JPEG_QUALITY = 92


@dataclass(frozen=True)
class ExportSummary:
    """What has been written."""

    slides: int
    #: Cells over all slides.
    cells: int
    #: The CSV file that tells the class of every cell.
    truth: Path


@dataclass(frozen=True)
class _Cell:
    """One image to be written: where, of which class, and the real image it copies or the random numbers it is from."""

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
    """Write `slides` folders of `cells` images each under `out`, and the truth about them as CSV.

    Every image appears complete under its name: a watcher may be looking on. The same arguments write the same bytes.
    Nothing that exists is overwritten. Stopped half-way, it leaves whole images and the truth about those.

    Args:
        out: the folder to hold the slides' folders; made if missing.
        slides: number of slides.
        cells: number of cells on each.
        seed: decides everything that is random; 0 or more.
        source: a tree of class folders whose images are copied byte for byte, none twice on one slide; without it
            cells are drawn.
        composition: share of each class, met as exactly as whole cells allow; without it every slide varies a little
            about `composition.ROUTINE`.
        truth: the CSV file; `default_truth(out)` if not given.
        progress: called after each image with the number written so far.

    Raises:
        SimulationError: the numbers make no export, something is in the way, the source has too few images of a class,
            or the disk refuses; the message says what to do.
        ModelsError: the source is no tree of class folders.
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
            _write_whole(out / cell.slide / cell.file, _image_bytes(cell))
            written.append(cell)
            if progress is not None:
                progress(len(written))
    except OSError as error:
        raise SimulationError(f"cannot write the export: {error}") from error
    finally:
        # Also when stopped half-way: the images that are there can then still be checked.
        if written:
            _write_truth(truth, written, with_source=pool is not None)
    return ExportSummary(slides=slides, cells=len(written), truth=truth)


def default_truth(out: Path) -> Path:
    """Return where the truth about the export under `out` is written: beside it, outside every slide.

    Raises:
        SimulationError: nothing can lie beside `out`, the root of a file system.
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
    """Decide each cell of one slide. Slides do not depend on how many follow them."""
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
        _write_whole(truth, text.getvalue().encode())
    except OSError as error:
        raise SimulationError(f"cannot write the truth: {error}") from error


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that is never seen half written: under a name that watchers ignore, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
