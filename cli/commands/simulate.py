"""`smearcount simulate`."""

from pathlib import Path

import click

from smearcount.cli.simulation.composition import parse_composition
from smearcount.cli.simulation.export import write_exports
from smearcount.cli.views.console import print_message, progress_bar


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--slides", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Slides to write."
)
@click.option(
    "--cells", type=click.IntRange(min=1), default=120, show_default=True, metavar="M", help="Cells per slide."
)
@click.option("--seed", type=int, default=1, show_default=True, metavar="S", help="The same seed gives the same files.")
@click.option("--from", "source", type=click.Path(path_type=Path), metavar="DIR",
              help="Draw real cells from a tree of class folders, instead of drawing synthetic ones.")  # fmt: skip
@click.option("--composition", metavar="CLASS=WEIGHT,...",
              help="What the slides consist of, such as neutrophil=60,lymphocyte=30,monocyte=10; "
              "default: a routine adult smear.")  # fmt: skip
def simulate(out: Path, slides: int, cells: int, seed: int, source: Path | None, composition: str | None) -> None:
    """Write exports like an analyzer's into the folder OUT: one folder per slide, one image per cell.

    What each cell is stands in OUT.truth.csv beside OUT. Existing slides are never overwritten.
    """
    wanted = parse_composition(composition) if composition else None
    with progress_bar("writing cells", slides * cells) as progress:
        summary = write_exports(
            out,
            slides=slides,
            cells=cells,
            seed=seed,
            source=source,
            composition=wanted,
            progress=progress,
        )
    print_message(f"{summary.slides} slides with {summary.cells} cells in {out}; what they are: {summary.truth}")
