"""Soft masks: every edge is drawn with antialiasing at a sixteenth of a pixel.

All points and radii are in pixels of a square patch; masks are float32 (S, S) in [0, 1].
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.float32]
Points = NDArray[np.float64]  # (N, 2) x, y

_SHIFT = 4  # bits of a pixel's fraction


def outline(rng: np.random.Generator, radius: float, unevenness: float, elongation: float = 1.0) -> Points:
    """A closed, wavy outline around the origin, 72 points (x, y)."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    order = np.arange(2, 7)
    size = rng.normal(0, unevenness, 5) / (order - 1)
    wave = (size * np.cos(order * angle[:, None] + rng.uniform(0, 2 * np.pi, 5))).sum(axis=1)
    reach = radius * (1 + wave)
    points = np.stack([reach * np.cos(angle) * elongation, reach * np.sin(angle) / elongation], axis=1)
    return rotated(points, rng.uniform(0, 2 * np.pi))


def rotated(points: Points, angle: float) -> Points:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cosine, sine], [-sine, cosine]]))


def filled(side: int, points: Points) -> Mask:
    """The inside of an outline."""
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [_fixed(points)], 255, cv2.LINE_AA, _SHIFT)
    return _share(mask)


def discs(side: int, centres: Points, radii: NDArray[np.float64], levels: NDArray[np.float64]) -> Mask:
    """Discs, each of its own level in [0, 1]; later ones cover earlier ones."""
    mask = np.zeros((side, side), np.uint8)
    for (x, y), radius, level in zip(_fixed(centres), _fixed(radii), (255 * levels).astype(int), strict=True):
        cv2.circle(mask, (int(x), int(y)), int(radius), int(level), cv2.FILLED, cv2.LINE_AA, _SHIFT)
    return _share(mask)


def joined(side: int, centres: Points, radii: NDArray[np.float64], bridge: float, soft: float) -> Mask:
    """Discs in a row, each joined to the next by a band `bridge` pixels wide, the corners rounded by `soft` pixels."""
    mask = np.zeros((side, side), np.uint8)
    cv2.polylines(mask, [_fixed(centres)], False, 255, max(1, round(bridge)), cv2.LINE_AA, _SHIFT)
    for (x, y), radius in zip(_fixed(centres), _fixed(radii), strict=True):
        cv2.circle(mask, (int(x), int(y)), int(radius), 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)
    return _share(mask) if soft <= 0 else rounded(_share(mask), soft)


def rounded(mask: Mask, soft: float) -> Mask:
    """Blurred by `soft` pixels and cut at the half again, over an edge of about a pixel and a half."""
    blurred = cv2.GaussianBlur(mask, (0, 0), soft)
    return np.asarray(((blurred - 0.5) * (1.7 * soft) + 0.5).clip(0, 1), np.float32)


def texture(rng: np.random.Generator, side: int, grain: float) -> Mask:
    """Smooth noise of mean 0 and deviation 1, its grains about `grain` pixels wide; not within [0, 1]."""
    coarse = max(8, int(2 * side / max(grain, 1.0)))
    noise = rng.standard_normal((coarse, coarse), np.float32)
    grown = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(grown / grown.std(), np.float32)


def _fixed(values: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.asarray(np.rint(np.asarray(values) * (1 << _SHIFT)), np.int32)


def _share(mask: NDArray[np.uint8]) -> Mask:
    return np.asarray(mask, np.float32) * np.float32(1 / 255)
