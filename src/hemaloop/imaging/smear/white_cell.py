"""One white cell, as amounts of dye over a square patch."""

import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.smear import shapes
from hemaloop.imaging.smear.morphology import Dyes, Granules, Morphology
from hemaloop.imaging.smear.shapes import Mask

Layer = NDArray[np.float32]  # (S, S, 4) units of each absorber


def paint(rng: np.random.Generator, morphology: Morphology, under: Layer, radius: float, px_per_um: float) -> Layer:
    """The patch `under` with a cell of `radius` pixels in its middle; what lay beneath it is displaced."""
    side = len(under)
    middle = np.array([side / 2, side / 2])
    cell = shapes.filled(
        side, middle + shapes.outline(rng, radius, morphology.outline, 1 + abs(rng.normal(0, morphology.outline)))
    )
    nucleus = _nucleus(rng, morphology, side, radius, px_per_um) * cell
    layer = _cover(under, cell, morphology.cytoplasm, 1 + 0.13 * shapes.texture(rng, side, 0.9 * px_per_um))
    layer = _vacuoles(rng, morphology, layer, cell, radius, px_per_um)
    grains = _granules(rng, morphology.granules, side, radius, px_per_um) * cell
    if not morphology.granules.over_nucleus:
        layer = layer + grains[:, :, None] * _array(morphology.granules.dyes)
    layer = _cover(layer, nucleus, morphology.chromatin, _chromatin(rng, morphology, side, px_per_um))
    if morphology.granules.over_nucleus:
        layer = _cover(layer, grains, morphology.granules.dyes, None)
    return layer


def _nucleus(rng: np.random.Generator, morphology: Morphology, side: int, radius: float, px_per_um: float) -> Mask:
    share = rng.uniform(*morphology.nucleus_share)
    if morphology.nucleus == "round":
        room = radius * (1 - share) * 0.8  # it lies where it has room, mostly off the middle
        angle = rng.uniform(0, 2 * np.pi)
        middle = side / 2 + room * rng.uniform(0.3, 1) * np.array([np.cos(angle), np.sin(angle)])
        return shapes.filled(side, middle + shapes.outline(rng, radius * share, 0.035, 1 + abs(rng.normal(0, 0.05))))
    build = _kidney if morphology.nucleus == "kidney" else _lobes
    centres, radii, bridge = build(rng, morphology, radius * share, px_per_um)
    turned = shapes.rotated(centres - centres.mean(axis=0), rng.uniform(0, 2 * np.pi))
    drift = rng.normal(0, 0.06 * radius, 2)
    return shapes.joined(side, side / 2 + drift + turned, radii, bridge, soft=0.16 * px_per_um)


Blobs = tuple[NDArray[np.float64], NDArray[np.float64], float]  # centres (N, 2), radii (N,), width of the bridges; px


def _kidney(rng: np.random.Generator, morphology: Morphology, reach: float, px_per_um: float) -> Blobs:
    """A thick arc: a bean where it is short, a horseshoe where it is long."""
    span = rng.uniform(1.5, 4.0)  # radians
    angle = np.linspace(-span / 2, span / 2, 9)
    bend = reach * rng.uniform(0.52, 0.62)
    centres = bend * np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + rng.normal(0, 0.03, (9, 1)))
    radii = reach * rng.uniform(0.40, 0.50) * (1 + rng.normal(0, 0.06, 9))
    return centres, radii, float(1.5 * radii.min())


def _lobes(rng: np.random.Generator, morphology: Morphology, reach: float, px_per_um: float) -> Blobs:
    """Two to five lobes on an arc, in a row, with filaments between them."""
    count = 2 + int(rng.choice(len(morphology.lobes), p=morphology.lobes))
    step = rng.uniform(1.9, 2.6) if count == 2 else rng.uniform(4.4, 5.6) / count
    angle = np.cumsum(np.full(count, step) * (1 + rng.normal(0, 0.08, count)))
    size = {2: 0.45, 3: 0.36, 4: 0.31, 5: 0.27}[count] * reach
    radii = size * (1 + rng.normal(0, 0.10, count))
    bend = reach * {2: 0.60, 3: 0.64, 4: 0.68, 5: 0.70}[count]
    centres = bend * np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + rng.normal(0, 0.08, (count, 1)))
    # Each lobe is a short row of its own: lobes are longer than wide.
    along = np.stack([-np.sin(angle), np.cos(angle)], axis=1) * (radii * rng.uniform(0.05, 0.4, count))[:, None]
    both = np.stack([centres - along, centres + along], axis=1).reshape(-1, 2)
    return both, np.repeat(radii, 2), max(1.0, rng.uniform(0.35, 0.8) * px_per_um)


def _chromatin(rng: np.random.Generator, morphology: Morphology, side: int, px_per_um: float) -> Mask:
    """How much dye the nucleus takes from place to place: dense clumps, and paler gaps between them."""
    grain = 0.55 if morphology.nucleus == "kidney" else 0.95  # um; monocytes are lacy
    coarse = shapes.texture(rng, side, grain * px_per_um)
    fine = shapes.texture(rng, side, 0.35 * px_per_um)
    return np.asarray((1 + morphology.clumps * (0.20 * coarse + 0.09 * fine)).clip(0.45, 1.5), np.float32)


def _granules(rng: np.random.Generator, granules: Granules, side: int, radius: float, px_per_um: float) -> Mask:
    count = rng.poisson(granules.per_um2 * np.pi * (radius / px_per_um) ** 2)
    reach = 0.97 * radius * np.sqrt(rng.uniform(0, 1, count))
    angle = rng.uniform(0, 2 * np.pi, count)
    centres = side / 2 + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1)
    radii = rng.uniform(*granules.radius_um, count) * px_per_um
    return shapes.discs(side, centres, radii, rng.uniform(0.55, 1.0, count))


def _vacuoles(
    rng: np.random.Generator, morphology: Morphology, layer: Layer, cell: Mask, radius: float, px_per_um: float
) -> Layer:
    count = int(rng.integers(0, morphology.vacuoles + 1))
    if not count:
        return layer
    centres = len(layer) / 2 + rng.normal(0, 0.5 * radius, (count, 2))
    holes = shapes.discs(len(layer), centres, rng.uniform(0.25, 0.6, count) * px_per_um, np.full(count, 0.8))
    return np.asarray(layer * (1 - holes * cell)[:, :, None], np.float32)


def _cover(layer: Layer, mask: Mask, dyes: Dyes, amount: Mask | None) -> Layer:
    """`dyes`, times `amount` from place to place, in place of what is there."""
    opaque = mask[:, :, None]
    over = _array(dyes) if amount is None else amount[:, :, None] * _array(dyes)
    return np.asarray(layer * (1 - opaque) + opaque * over, np.float32)


def _array(dyes: Dyes) -> NDArray[np.float32]:
    return np.array(dyes, np.float32)
