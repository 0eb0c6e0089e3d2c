"""The composition of a slide: the share of each cell class."""

from collections.abc import Mapping

import numpy as np

from smearcount.cli.simulation.errors import SimulationError
from smearcount.differential.classes import CellClass

#: A routine adult slide as an analyzer exports it: shares of all exported cells, in percent.
ROUTINE: dict[CellClass, float] = {
    CellClass.NEUTROPHIL: 58.0,
    CellClass.LYMPHOCYTE: 28.0,
    CellClass.MONOCYTE: 7.0,
    CellClass.EOSINOPHIL: 3.0,
    CellClass.BASOPHIL: 1.0,
    CellClass.IG: 0.5,
    CellClass.ERYTHROBLAST: 0.5,
    CellClass.PLATELET: 2.0,
}

#: The difference between patients: standard deviation of the natural logarithm of each share.
ROUTINE_SPREAD = 0.2


def parse_composition(text: str) -> dict[CellClass, float]:
    """Read a composition such as "neutrophil=60,lymphocyte=30"; the slide has no cells of classes that it does not name.

    The shares may have any sum, not only 100.

    Raises:
        SimulationError: The text is malformed, names an unknown class or the same class twice, or holds a negative share
            or no share above 0.
    """
    composition: dict[CellClass, float] = {}
    for part in text.split(","):
        name, equals, number = (piece.strip() for piece in part.partition("="))
        if not (name and equals and number):
            raise SimulationError(
                f'cannot read "{part.strip()}" in the composition; write class=share, for example neutrophil=60'
            )
        cell_class = _class_named(name)
        if cell_class in composition:
            raise SimulationError(f"the composition names {cell_class} twice")
        try:
            composition[cell_class] = float(number)
        except ValueError:
            raise SimulationError(f'the share of {cell_class}, "{number}", is no number') from None
    check_composition(composition)
    return composition


def check_composition(composition: Mapping[CellClass, float]) -> None:
    """Check that a slide can be made of the shares.

    Raises:
        SimulationError: A share is negative or not finite, or no share is above 0.
    """
    for cell_class, share in composition.items():
        if not (0 <= share < float("inf")):
            raise SimulationError(f"the share of {cell_class} is {share:g}; it must be 0 or more")
    if not sum(composition.values()) > 0:
        raise SimulationError("the composition holds no share above 0; give at least one class a share")


def vary(
    composition: Mapping[CellClass, float], rng: np.random.Generator, spread: float = ROUTINE_SPREAD
) -> dict[CellClass, float]:
    """Return the composition of one patient's slide: each share is multiplied by a random log-normal factor.

    Args:
        composition: The mean shares.
        rng: Decides the factors.
        spread: Standard deviation of the natural logarithm of the factor.
    """
    return {
        cell_class: share * float(np.exp(rng.normal(0, spread))) for cell_class, share in ordered(composition).items()
    }


def draw_composition(
    composition: Mapping[CellClass, float], cells: int, rng: np.random.Generator
) -> tuple[CellClass, ...]:
    """Decide the class of each of the `cells` cells of one slide, in random order.

    The number of cells of a class is its share, rounded up or down at random: on average over many slides even the rarest
    class has its share. A share that is a whole number of cells is met exactly.

    Raises:
        SimulationError: See `check_composition`.
    """
    check_composition(composition)
    shares = ordered(composition)
    bounds = np.cumsum(list(shares.values())) / sum(shares.values()) * cells
    # Round to six decimals first: 60 % of 100 cells may be 59.99999999999999.
    upto = np.floor(np.round(bounds, 6) + rng.uniform(0, 1)).astype(np.int64)
    upto[-1] = cells
    counts = np.diff(np.minimum(upto, cells), prepend=0)
    drawn = [cell_class for cell_class, count in zip(shares, counts, strict=True) for _ in range(count)]
    return tuple(drawn[index] for index in rng.permutation(cells))


def ordered(composition: Mapping[CellClass, float]) -> dict[CellClass, float]:
    """Return the shares above 0 in the order of CellClass, so that the order in which they were given has no effect."""
    return {cell_class: composition[cell_class] for cell_class in CellClass if composition.get(cell_class, 0) > 0}


def _class_named(name: str) -> CellClass:
    try:
        return CellClass(name.lower())
    except ValueError:
        raise SimulationError(f'there is no class "{name}"; the classes are {", ".join(CellClass)}') from None
