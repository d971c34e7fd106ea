"""What lies around the white cell: red cells and platelets."""

import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.smear import shapes
from hemaloop.imaging.smear.morphology import (
    PLATELET,
    PLATELET_GRANULES,
    PLATELET_UM,
    RED_CELL,
    RED_CELL_UM,
)
from hemaloop.imaging.smear.slide import Slide

Dense = NDArray[np.float32]  # (H, W, 4) units of each absorber

_TRIES = 120


def add_red_cells(
    rng: np.random.Generator, dense: Dense, slide: Slide, middle: tuple[float, float], free: float
) -> None:
    """Lay red cells everywhere but on a disc of radius `free` pixels around `middle`; overlapping ones add up."""
    height, width = dense.shape[:2]
    diameter = RED_CELL_UM[0] / slide.um_per_px
    count = int(slide.red_cells * (height + diameter) * (width + diameter) / (np.pi * diameter**2 / 4))
    placed: list[tuple[float, float]] = []
    for x, y in rng.uniform(-diameter / 2, width + diameter / 2, (_TRIES, 2)):
        if len(placed) == count:
            break
        near = min((np.hypot(x - a, y - b) for a, b in placed), default=np.inf)
        if near < slide.overlap * diameter or np.hypot(x - middle[0], y - middle[1]) < free + 0.47 * diameter:
            continue
        placed.append((x, y))
        _add_red_cell(rng, dense, slide, x, y)


def _add_red_cell(rng: np.random.Generator, dense: Dense, slide: Slide, x: float, y: float) -> None:
    radius = rng.normal(*RED_CELL_UM) / 2 / slide.um_per_px
    rows, columns = _window(dense, x, y, radius * 1.35)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    across = (np.arange(columns.start, columns.stop, dtype=np.float32) - x)[None, :]
    down = (np.arange(rows.start, rows.stop, dtype=np.float32) - y)[:, None]
    long, turn = 1 + abs(rng.normal(0, 0.05)), rng.uniform(0, np.pi)
    along, aside = across * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - across * np.sin(turn)
    lumps = 1 + rng.normal(0, 0.02) * np.cos(2 * turn) + rng.normal(0, 0.025) * (along * aside) / radius**2
    distance = np.sqrt((along / long) ** 2 + (aside * long) ** 2) / (radius * lumps)
    thick = _thickness(distance, slide.pallor * rng.uniform(0.6, 1.2), radius) * rng.normal(1, 0.07)
    dense[rows, columns] += thick[:, :, None] * np.array(RED_CELL, np.float32)


def _thickness(distance: NDArray[np.float32], pallor: float, radius: float) -> NDArray[np.float32]:
    """Of a dried red cell over the distance from its middle (1: its edge): 1 on the ring, less in the middle.

    Source: the biconcave disc of Evans and Fung 1972, Microvasc Res 4:335, flattened as films dry.
    """
    square = (distance / 0.52) ** 2
    middle = 1 - min(pallor, 0.9) * np.exp(-square * square)
    rim = 1 + 0.15 * np.exp(-(((distance - 0.86) / 0.10) ** 2))
    edge = ((1 - distance) * radius + 0.5).clip(0, 1)
    return np.asarray(middle * rim * edge, np.float32)


def add_platelets(
    rng: np.random.Generator, dense: Dense, slide: Slide, middle: tuple[float, float], free: float
) -> None:
    """A few platelets, beside the white cell."""
    for x, y in rng.uniform(0, len(dense), (rng.poisson(1.6), 2)):
        if np.hypot(x - middle[0], y - middle[1]) < free + 15:
            continue
        radius = rng.uniform(*PLATELET_UM) / 2 / slide.um_per_px
        side = int(3 * radius) + 2
        rows, columns = _window(dense, x, y, side / 2)
        if rows.stop - rows.start < side or columns.stop - columns.start < side:
            continue  # cut by the border: not worth the arithmetic
        body = shapes.filled(side, side / 2 + shapes.outline(rng, radius, 0.10, 1 + abs(rng.normal(0, 0.15))))
        spots = side / 2 + rng.normal(0, 0.4 * radius, (14, 2))
        grains = shapes.discs(side, spots, rng.uniform(0.15, 0.3, 14) / slide.um_per_px, rng.uniform(0.4, 1, 14)) * body
        patch = dense[rows, columns][:side, :side]
        patch *= 1 - 0.8 * body[:, :, None]
        patch += body[:, :, None] * np.array(PLATELET, np.float32)
        patch += grains[:, :, None] * np.array(PLATELET_GRANULES, np.float32)


def _window(dense: Dense, x: float, y: float, reach: float) -> tuple[slice, slice]:
    """Rows and columns within `reach` of a point, inside the field."""
    height, width = dense.shape[:2]
    rows = slice(max(0, int(y - reach)), min(height, int(y + reach) + 1))
    return rows, slice(max(0, int(x - reach)), min(width, int(x + reach) + 1))
