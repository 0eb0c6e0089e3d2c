"""Drawings of the cell of each class: its body, its nucleus, and the granules of its cytoplasm.

Colours and sizes follow the measured ones (see `stain`). Every function paints onto a patch whose point of interest is the
cell's centre; its `radius` is in pixels.
"""

import math
from collections.abc import Callable

import numpy as np

from smearcount.cli.simulation import nucleus, outline, stain
from smearcount.cli.simulation.patch import Colour, Field, Patch, grain, soft_edge, speckle
from smearcount.differential.classes import CellClass

#: Paints a cell of the given radius, in pixels.
Artist = Callable[[Patch, float, np.random.Generator], None]


def draw_neutrophil(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """Two to five joined lobes, or a band, in pale pink cytoplasm dusted with fine granules."""
    depth = outline.rounded(patch, radius, rng, uneven=0.02, oval=0.05)
    pink = _tinted(stain.rgb(207, 167, 177), 6, rng)
    _draw_cytoplasm(patch, depth, pink, rng, mottle=7, scale=7)
    inside = depth > 3
    _scatter(patch, speckle(inside, int(rng.integers(150, 420)), 1.1, rng), 0.66, rng.uniform(0.4, 0.65))
    _scatter(patch, speckle(inside, int(rng.integers(20, 80)), 1.4, rng), 0.45, rng.uniform(0.5, 0.9))
    if rng.random() < 0.3:
        shape = nucleus.band(patch, radius, rng)
    else:
        shape = nucleus.lobes(patch, radius, int(rng.choice([2, 3, 4, 5], p=[0.1, 0.45, 0.33, 0.12])), rng)
    nucleus.draw_nucleus(patch, np.minimum(shape, depth - 2), nucleus.CLUMPED, rng)


def draw_eosinophil(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """Mostly two lobes, in cytoplasm packed with large orange-pink granules."""
    depth = outline.rounded(patch, radius, rng, uneven=0.025, oval=0.06)
    _draw_cytoplasm(patch, depth, stain.rgb(190, 160, 176), rng, mottle=6, scale=7)
    packed = depth + 5 * grain(patch.shape, 25, rng)
    orange = _tinted(stain.rgb(187, 112, 142), 7, rng)
    beads = grain(patch.shape, 4.5, rng)
    shade = (beads[..., None] * stain.rgb(11, 15, 6)).astype(np.float32)
    # Towards the edge, granules lie behind each other and look darker and more violet.
    shade -= np.exp(-np.clip(depth, 0, None) / 6)[..., None] * stain.rgb(34, 34, 8)
    patch.paint(orange + shade, soft_edge(packed - 4, 4.0) * soft_edge(depth, 2))
    _scatter(patch, speckle(depth > 1, 260, 2.0, rng), 0.6, 0.45)
    number = int(rng.choice([2, 3], p=[0.8, 0.2]))
    shape = nucleus.lobes(patch, radius * (1.05 if number == 2 else 0.98), number, rng)
    nucleus.draw_nucleus(patch, np.minimum(shape, depth - 2), nucleus.CLUMPED, rng)


def draw_basophil(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """Coarse violet-black granules all over, so that the nucleus beneath can hardly be seen."""
    depth = outline.rounded(patch, radius, rng, uneven=0.04, oval=0.08, waves=9)
    depth = (depth + 1.6 * grain(patch.shape, 7, rng)).astype(np.float32)
    mauve = _tinted(stain.rgb(174, 130, 163), 9, rng)
    _draw_cytoplasm(patch, depth, mauve, rng, mottle=12, scale=6)
    number = int(rng.choice([2, 3]))
    shape = nucleus.lobes(patch, radius * rng.uniform(1.15, 1.35), number, rng)
    nucleus.draw_nucleus(patch, np.minimum(shape, depth - 2), nucleus.VEILED, rng)
    amount = rng.uniform(0.8, 1.5)
    _scatter(patch, speckle(depth > 0, int(300 * amount), 2.2, rng), 0.14, 0.8)
    _scatter(patch, speckle((depth > -1) & (depth < 7), int(80 * amount), 2.5, rng), 0.08, 0.9)


def draw_lymphocyte(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """A dense round nucleus in a thin rim of blue."""
    depth = outline.rounded(patch, radius, rng, uneven=0.02, oval=0.05, waves=7)
    depth = (depth + 1.0 * grain(patch.shape, 4, rng)).astype(np.float32)
    blue = _tinted(stain.rgb(128, 108, 160), 12, rng)
    _draw_cytoplasm(patch, depth, blue, rng, mottle=14, scale=3.5)
    aside = rng.uniform(0, 0.09) * radius
    angle = rng.uniform(0, 2 * math.pi)
    moved = patch.moved(aside * math.cos(angle), aside * math.sin(angle))
    shape = outline.rounded(moved, radius * rng.uniform(0.87, 0.96), rng, uneven=0.02, oval=0.06)
    nucleus.draw_nucleus(patch, np.minimum(shape, depth - 1), nucleus.DENSE, rng)


def draw_monocyte(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """A large kidney or horseshoe of lacy chromatin in grainy grey-blue cytoplasm with vacuoles."""
    depth = outline.rounded(patch, radius, rng, uneven=0.04, oval=0.08, waves=7)
    depth = (depth + 1.5 * grain(patch.shape, 9, rng)).astype(np.float32)
    grey = _tinted(stain.rgb(170, 144, 176), 7, rng)
    _draw_cytoplasm(patch, depth, grey, rng, mottle=11, scale=3.5)
    _scatter(patch, speckle(depth > 2, 150, 1.1, rng), 0.6, 0.35)
    shape = nucleus.kidney(patch, radius, rng, fat=rng.uniform(0.38, 0.5), turn=rng.uniform(1.5, 4.0))
    shape = (shape + 2 * grain(patch.shape, 22, rng)).astype(np.float32)
    nucleus.draw_nucleus(patch, np.minimum(shape, depth - 3), nucleus.LACY, rng)
    if rng.random() < 0.6:
        _draw_vacuoles(patch, depth, int(rng.integers(1, 12)), rng)


def draw_ig(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """A promyelocyte, myelocyte or metamyelocyte: the riper it is, the paler its cytoplasm and the more bent its nucleus."""
    ripeness = rng.beta(1.2, 1.6)
    radius *= 1.08 - 0.14 * ripeness
    depth = outline.rounded(patch, radius, rng, uneven=0.018, oval=0.045)
    young, ripe = stain.rgb(158, 122, 166), stain.rgb(201, 168, 180)
    colour = young + (ripe - young) * np.float32(min(1.4 * ripeness, 1))
    _draw_cytoplasm(patch, depth, _tinted(colour, 6, rng), rng, mottle=12, scale=4)
    granules = int(rng.uniform(450, 850) * (1 - ripeness) + 200)
    if ripeness < 0.7:
        angle = rng.uniform(0, 2 * math.pi)
        aside = radius * rng.uniform(0.05, 0.2)
        moved = patch.moved(aside * math.cos(angle), aside * math.sin(angle))
        shape = outline.rounded(moved, radius * rng.uniform(0.7, 0.82), rng, uneven=0.025, oval=0.09)
    else:
        shape = nucleus.kidney(patch, radius, rng, fat=rng.uniform(0.4, 0.48), turn=rng.uniform(0.8, 2.2))
    nucleus.draw_nucleus(patch, np.minimum(shape, depth - 3), nucleus.OPEN, rng)
    # Azurophilic granules also lie over the nucleus.
    cover = speckle(depth > 2, granules, 1.25, rng) * np.float32(rng.uniform(0.55, 0.8))
    patch.paint(_tinted(stain.AZUROPHIL, 8, rng), cover)


def draw_erythroblast(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """A small, very dense, round nucleus in smooth cytoplasm on its way from blue to the red cell's pink."""
    depth = outline.rounded(patch, radius, rng, uneven=0.035, oval=0.08)
    ripeness = rng.uniform(0, 1)
    young, ripe = stain.rgb(134, 108, 154), stain.rgb(190, 160, 174)
    grey = _tinted(young + (ripe - young) * np.float32(ripeness), 4, rng)
    _draw_cytoplasm(patch, depth, grey, rng, mottle=5, scale=8)
    angle = rng.uniform(0, 2 * math.pi)
    aside = radius * rng.uniform(0, 0.2)
    moved = patch.moved(aside * math.cos(angle), aside * math.sin(angle))
    shape = outline.rounded(moved, radius * (0.77 - 0.15 * ripeness) * rng.uniform(0.92, 1.04), rng, uneven=0.015)
    nucleus.draw_nucleus(patch, np.minimum(shape, depth - 1), nucleus.PYKNOTIC, rng)


def draw_platelet(patch: Patch, radius: float, rng: np.random.Generator) -> None:
    """A fragment without a nucleus: a frayed pale body full of violet granules."""
    depth = outline.rounded(patch, radius, rng, uneven=0.05, oval=0.1, waves=9)
    depth = (depth + 1.8 * grain(patch.shape, 4, rng)).astype(np.float32)
    pale = _tinted(stain.rgb(184, 154, 180), 8, rng)
    _draw_cytoplasm(patch, depth, pale, rng, mottle=12, scale=4)
    core = depth - rng.uniform(0, 0.25) * radius
    dense = rng.uniform(0.45, 0.85)
    patch.paint(stain.rgb(148, 98, 164), soft_edge(core, 6) * np.float32(dense))
    granules = int((core > 0).sum() * rng.uniform(0.06, 0.12))
    cover = speckle(core > 0, granules, 1.6, rng) * np.float32(rng.uniform(0.65, 0.9))
    patch.paint(_tinted(stain.AZUROPHIL, 8, rng), cover)


#: The function that draws the cell of each class.
ARTISTS: dict[CellClass, Artist] = {
    CellClass.BASOPHIL: draw_basophil,
    CellClass.EOSINOPHIL: draw_eosinophil,
    CellClass.ERYTHROBLAST: draw_erythroblast,
    CellClass.IG: draw_ig,
    CellClass.LYMPHOCYTE: draw_lymphocyte,
    CellClass.MONOCYTE: draw_monocyte,
    CellClass.NEUTROPHIL: draw_neutrophil,
    CellClass.PLATELET: draw_platelet,
}


def _draw_cytoplasm(
    patch: Patch, depth: Field, colour: Colour, rng: np.random.Generator, *, mottle: float, scale: float
) -> None:
    """Fill the body with a mottled colour, a little darker along its edge."""
    texture = grain(patch.shape, scale, rng) + 0.6 * grain(patch.shape, 2, rng)
    texture -= 1.2 * np.exp(-np.clip(depth, 0, None) / 3)
    # The stain's eosin and azure do not spread evenly: there are spots of pink beside spots of blue.
    hue = 0.22 * mottle * grain(patch.shape, 2 * scale, rng)
    shades = colour + (texture * mottle)[..., None] * stain.rgb(1, 1.1, 0.45) + hue[..., None] * stain.rgb(1, 0, -0.5)
    patch.paint(shades.astype(np.float32), soft_edge(depth, 2.0))


def _tinted(colour: Colour, deviation: float, rng: np.random.Generator) -> Colour:
    """Return the colour of one cell: stained deeper or paler, and a little redder or bluer."""
    depth, hue = rng.normal(0, deviation), rng.normal(0, 0.4 * deviation)
    tinted: Colour = colour + np.float32(depth) * stain.rgb(1, 1, 0.45) + np.float32(hue) * stain.rgb(1, -0.3, -0.3)
    return tinted


def _scatter(patch: Patch, cover: Field, paleness: float, strength: float) -> None:
    """Paint granules of one violet; `paleness` is that of `stain.violet`, `strength` from 0 to 1."""
    shade = stain.violet(np.full((1, 1), paleness, dtype=np.float32))
    patch.paint(shade, (cover * strength).astype(np.float32))


def _draw_vacuoles(patch: Patch, depth: Field, number: int, rng: np.random.Generator) -> None:
    """Paint clear bubbles at random places in the body."""
    places = np.argwhere(depth > 8)
    for row, column in places[rng.integers(0, len(places), number)]:
        distance = np.hypot(patch.dx - patch.dx[0, column], patch.dy - patch.dy[row, 0])
        patch.paint(stain.rgb(232, 212, 202), soft_edge(rng.uniform(1.5, 5.5) - distance, 2.5) * np.float32(0.85))
