"""Round dark things of a known range of radii, touching, overlapping or cut: each edge pixel votes for its centre.

A red cell is darker than what is around it, so that the gradient at its rim points outward; the rim of its pale middle
has the opposite sign and votes for nothing. Where two cells overlap it is darker still, and both rims keep their sign.

Source: Kimme, Ballard, Sklansky 1975, "Finding circles by an array of accumulators"; the gradient's sign as in Loy,
Zelinsky 2003, "Fast radial symmetry for detecting points of interest".
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SMALLEST, LARGEST = 6.5, 14.0  # px, the radii looked for: an octave and a bit, so that halving the image goes on
_RADII = np.geomspace(SMALLEST, LARGEST, 12)
_BLUR = 0.8  # px
_SPREAD = 0.14  # of the radius: cells are no perfect circles
_PADDING = 16  # px outside of the image where a centre may lie
_VOTES = 0.3  # of a full circle, at which a centre is looked at
_CANDIDATES = 60
_ROUNDS = 3
_RIM = 0.15  # of the radius, within which an edge belongs to the rim
_POINTING = 0.8  # cosine between gradient and radius
_SECTORS = 24


@dataclass(frozen=True)
class Edges:
    """Rim pixels, thinned, at a part of a pixel; (dx, dy) points into the dark and has length 1."""

    x: Floats
    y: Floats
    dx: Floats
    dy: Floats


@dataclass(frozen=True)
class Circle:
    x: float  # px
    y: float
    radius: float
    support: float  # share of its rim that is seen, 0 to 1


def find_circles(dark: Floats, ignore: NDArray[np.uint8], least_slope: float, support: float) -> list[Circle]:
    """Dark circles, the best supported first; none is twice there.

    Args:
        dark: (H, W) how much darker than the background, any unit.
        ignore: (H, W) not 0 where no edge counts.
        least_slope: of an edge, in units of `dark` per px.
        support: share of the rim that must be seen.
    """
    edges = find_edges(dark, ignore, least_slope)
    if len(edges.x) < _SECTORS * support:
        return []
    x, y, radius = _fit(edges, *_candidates(edges, dark.shape))
    seen = _support(edges, x, y, radius)
    fits = (seen >= support) & (radius > 0.95 * SMALLEST) & (radius < 1.05 * LARGEST)
    found = [Circle(*map(float, values)) for values in zip(x[fits], y[fits], radius[fits], seen[fits], strict=True)]
    return distinct(found)


def distinct(circles: list[Circle]) -> list[Circle]:
    """Without those whose middle lies in the middle of a better supported one of similar size."""
    kept: list[Circle] = []
    for circle in sorted(circles, key=lambda circle: -circle.support):
        if not any(_is_same(circle, other) for other in kept):
            kept.append(circle)
    return kept


def _is_same(one: Circle, other: Circle) -> bool:
    apart = np.hypot(one.x - other.x, one.y - other.y)
    return bool(apart < 0.5 * max(one.radius, other.radius) and 0.6 < one.radius / other.radius < 1.6)


def find_edges(dark: Floats, ignore: NDArray[np.uint8], least_slope: float) -> Edges:
    """Local maxima of the gradient along its own direction.

    Source: Canny 1986, "A computational approach to edge detection"; the parabola through three values for the part
    of a pixel.
    """
    smooth = cv2.GaussianBlur(dark, (0, 0), _BLUR)
    across, down = (cv2.Scharr(smooth, cv2.CV_32F, *order) / 32 for order in ((1, 0), (0, 1)))
    slope = cv2.magnitude(across, down)
    candidates = (slope > least_slope) & (ignore == 0)
    candidates[[0, -1], :] = candidates[:, [0, -1]] = False
    y, x = np.nonzero(candidates)
    here = slope[y, x]
    dx, dy = across[y, x] / here, down[y, x] / here
    step_x, step_y = np.rint(dx).astype(int), np.rint(dy).astype(int)
    inside, outside = slope[y + step_y, x + step_x], slope[y - step_y, x - step_x]
    top = (here >= inside) & (here > outside)
    bend = np.maximum(2 * here - inside - outside, 1e-6)
    part = np.clip(0.5 * (inside - outside) / bend, -0.5, 0.5) * np.hypot(step_x, step_y)
    return Edges(*((values[top]).astype(np.float32) for values in (x + dx * part, y + dy * part, dx, dy)))


def _candidates(edges: Edges, shape: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """Centres and radii with the most votes, as (C,) x, y, radius."""
    votes = np.stack([_votes(edges, radius, shape) for radius in _RADII])
    best = votes.max(axis=0)
    peaks = (best > _VOTES) & (best >= cv2.dilate(best, np.ones((7, 7), np.uint8)))
    y, x = np.nonzero(peaks)
    order = np.argsort(-best[y, x], kind="stable")[:_CANDIDATES]
    y, x = y[order], x[order]
    radius = _RADII[votes[:, y, x].argmax(axis=0)]
    return (x - _PADDING).astype(np.float32), (y - _PADDING).astype(np.float32), radius.astype(np.float32)


def _votes(edges: Edges, radius: float, shape: tuple[int, ...]) -> Floats:
    """Share of a circle around each pixel that is there; the image is padded by _PADDING."""
    height, width = shape[0] + 2 * _PADDING, shape[1] + 2 * _PADDING
    x = np.rint(edges.x + radius * edges.dx).astype(np.intp) + _PADDING
    y = np.rint(edges.y + radius * edges.dy).astype(np.intp) + _PADDING
    counts = np.bincount(y * width + x, minlength=height * width).reshape(height, width).astype(np.float32)
    spread = _SPREAD * radius
    shares: Floats = cv2.GaussianBlur(counts, (0, 0), spread) * np.float32(spread**2 / radius)
    return shares


def _fit(edges: Edges, x: Floats, y: Floats, radius: Floats) -> tuple[Floats, Floats, Floats]:
    """Circles moved onto their rims: Gauss-Newton on the distances, with sectors seen as evenly spread."""
    for _ in range(_ROUNDS):
        away, cosine, sine, on_rim = _rims(edges, x, y, radius)
        count = np.maximum(on_rim.sum(axis=1), 1)
        error = np.where(on_rim, away - radius[:, None], 0)
        mean = error.sum(axis=1) / count
        rest = np.where(on_rim, error - mean[:, None], 0)
        x = x + 2 * (rest * cosine).sum(axis=1) / count
        y = y + 2 * (rest * sine).sum(axis=1) / count
        radius = radius + mean
    return x, y, radius


def _support(edges: Edges, x: Floats, y: Floats, radius: Floats) -> Floats:
    """Share of the sectors of each circle in which its rim is seen."""
    _, cosine, sine, on_rim = _rims(edges, x, y, radius)
    sector = ((np.arctan2(sine, cosine) / (2 * np.pi) + 0.5) * _SECTORS).astype(np.intp) % _SECTORS
    seen = np.zeros((len(x), _SECTORS), bool)
    which, edge = np.nonzero(on_rim)
    seen[which, sector[which, edge]] = True
    shares: Floats = seen.mean(axis=1).astype(np.float32)
    return shares


def _rims(edges: Edges, x: Floats, y: Floats, radius: Floats) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """For C circles and E edges, (C, E): distance, cosine and sine of the direction, whether it is on the rim."""
    across, down = edges.x - x[:, None], edges.y - y[:, None]
    away = np.maximum(np.hypot(across, down), 1e-6)
    cosine, sine = across / away, down / away
    pointing = -(cosine * edges.dx + sine * edges.dy)
    return away, cosine, sine, (np.abs(away - radius[:, None]) < _RIM * radius[:, None]) & (pointing > _POINTING)
