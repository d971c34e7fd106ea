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
Numbers = NDArray[np.intp]

SMALLEST, LARGEST = 6.5, 14.0  # px, the radii looked for: an octave and a bit, so that halving the image goes on
_RADII = np.geomspace(SMALLEST, LARGEST, 7).astype(np.float32)
_BLUR = 0.8  # px
_SPREAD = 0.14  # of the radius: cells are no perfect circles
_PADDING = 16  # px outside of the image where a centre may lie
_FINE_SIDE = 150  # px: votes on larger images are counted in bins of 2 px, which costs a quarter
_APART = 3  # px, of two centres
_VOTES = 0.3  # of a full circle, at which a centre is looked at
_CANDIDATES = 60
_ROUNDS = 3
_RIM = 0.15  # of the radius, within which an edge belongs to the rim
_POINTING = 0.8  # cosine between gradient and radius
_WINDOW = 20  # px around a candidate's centre in which its rim is looked for: the largest rim, and room to move
_SECTORS = 24


@dataclass(frozen=True)
class Edges:
    """Rim pixels, thinned, at a part of a pixel; (dx, dy) points into the dark and has length 1."""

    x: Floats
    y: Floats
    dx: Floats
    dy: Floats
    numbers: NDArray[np.int32]  # (H, W) of the edge whose pixel this is, -1 where none is


@dataclass(frozen=True)
class _Rims:
    """Pairs of a candidate and an edge near it, (P,) each: comparing all with all would be most of the time."""

    which: Numbers  # candidate
    away: Floats  # px from its centre
    cosine: Floats
    sine: Floats
    is_rim: NDArray[np.bool_]


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
    x, y, radius = _candidates(edges, dark.shape)
    pairs = _near(edges, x, y)
    x, y, radius = _fit(edges, pairs, x, y, radius)
    seen = _support(_rims(edges, pairs, x, y, radius), len(x))
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
    at, width = np.flatnonzero(candidates), slope.shape[1]
    flat = slope.ravel()
    here = flat[at]
    dx, dy = across.ravel()[at] / here, down.ravel()[at] / here
    step = np.rint(dy).astype(np.intp) * width + np.rint(dx).astype(np.intp)
    inside, outside = flat[at + step], flat[at - step]
    top = (here >= inside) & (here > outside)
    at, here, inside, outside, dx, dy = (values[top] for values in (at, here, inside, outside, dx, dy))
    bend = np.maximum(2 * here - inside - outside, np.float32(1e-6))
    part = np.clip(0.5 * (inside - outside) / bend, -0.5, 0.5) * np.hypot(np.rint(dx), np.rint(dy))
    y, x = (values.astype(np.float32) for values in np.divmod(at, width))
    numbers = np.full(slope.shape, -1, np.int32)
    numbers.ravel()[at] = np.arange(len(at), dtype=np.int32)
    return Edges(x + dx * part, y + dy * part, dx, dy, numbers)


def _candidates(edges: Edges, shape: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
    """Centres and radii with the most votes, as (C,) x, y, radius."""
    bin_px = 2 if min(shape) > _FINE_SIDE else 1
    best = _votes(edges, _RADII[0], shape, bin_px)
    which = np.zeros(best.shape, np.intp)
    for number, radius in enumerate(_RADII[1:], 1):
        votes = _votes(edges, radius, shape, bin_px)
        which[votes > best] = number
        np.maximum(best, votes, out=best)
    window = 2 * (_APART // bin_px) + 1
    peaks = (best > _VOTES) & (best >= cv2.dilate(best, np.ones((window, window), np.uint8)))
    y, x = np.divmod(np.flatnonzero(peaks), best.shape[1])
    order = np.argsort(-best[y, x], kind="stable")[:_CANDIDATES]
    y, x = y[order], x[order]
    corner = np.float32((bin_px - 1) / 2 - _PADDING)
    return bin_px * x.astype(np.float32) + corner, bin_px * y.astype(np.float32) + corner, _RADII[which[y, x]]


def _votes(edges: Edges, radius: float, shape: tuple[int, ...], bin_px: int) -> Floats:
    """Share of a circle around each bin of `bin_px` pixels that is there; the image is padded by _PADDING."""
    height, width = (length // bin_px + 1 + 2 * _PADDING // bin_px for length in shape[:2])
    reach, margin = np.float32(radius / bin_px), np.float32((_PADDING + 0.5) / bin_px)
    x = (edges.x * np.float32(1 / bin_px) + reach * edges.dx + margin).astype(np.int32)
    y = (edges.y * np.float32(1 / bin_px) + reach * edges.dy + margin).astype(np.int32)
    counts = np.bincount(y * width + x, minlength=height * width).reshape(height, width).astype(np.float32)
    spread = _SPREAD * radius / bin_px
    shares: Floats = cv2.GaussianBlur(counts, (0, 0), spread) * np.float32(spread**2 / radius)
    return shares


def _near(edges: Edges, x: Floats, y: Floats) -> tuple[Numbers, Numbers]:
    """Pairs of a candidate and an edge within _WINDOW of it, as (P,) each."""
    margin = _PADDING + _WINDOW + 1
    padded = np.pad(edges.numbers, margin, constant_values=-1)
    down, across = np.mgrid[-_WINDOW : _WINDOW + 1, -_WINDOW : _WINDOW + 1]
    inside = across**2 + down**2 <= _WINDOW**2
    offsets = down[inside] * padded.shape[1] + across[inside]
    middles = (np.rint(y).astype(np.intp) + margin) * padded.shape[1] + np.rint(x).astype(np.intp) + margin
    found = padded.ravel()[middles[:, None] + offsets]
    which, place = np.nonzero(found >= 0)
    return which, found[which, place].astype(np.intp)


def _fit(
    edges: Edges, pairs: tuple[Numbers, Numbers], x: Floats, y: Floats, radius: Floats
) -> tuple[Floats, Floats, Floats]:
    """Circles moved onto their rims: Gauss-Newton on the distances, with sectors seen as evenly spread."""
    for _ in range(_ROUNDS):
        rims = _rims(edges, pairs, x, y, radius)
        which, on_rim = rims.which[rims.is_rim], rims.is_rim
        count = np.maximum(np.bincount(which, minlength=len(x)), 1)
        error = rims.away[on_rim] - radius[which]
        mean = (np.bincount(which, error, len(x)) / count).astype(np.float32)
        rest = error - mean[which]
        x = x + (2 * np.bincount(which, rest * rims.cosine[on_rim], len(x)) / count).astype(np.float32)
        y = y + (2 * np.bincount(which, rest * rims.sine[on_rim], len(x)) / count).astype(np.float32)
        radius = radius + mean
    return x, y, radius


def _support(rims: _Rims, candidates: int) -> Floats:
    """Share of the sectors of each circle in which its rim is seen."""
    turn = np.arctan2(rims.sine[rims.is_rim], rims.cosine[rims.is_rim]) / (2 * np.pi) + 0.5
    seen = np.zeros((candidates, _SECTORS), bool)
    seen[rims.which[rims.is_rim], (turn * _SECTORS).astype(np.intp) % _SECTORS] = True
    shares: Floats = seen.mean(axis=1).astype(np.float32)
    return shares


def _rims(edges: Edges, pairs: tuple[Numbers, Numbers], x: Floats, y: Floats, radius: Floats) -> _Rims:
    """Where each edge lies, seen from its candidate's centre, and whether it is on the rim."""
    which, edge = pairs
    across, down = edges.x[edge] - x[which], edges.y[edge] - y[which]
    away = np.maximum(np.hypot(across, down), 1e-6)
    cosine, sine = across / away, down / away
    pointing = -(cosine * edges.dx[edge] + sine * edges.dy[edge])
    radii = radius[which]
    return _Rims(which, away, cosine, sine, (np.abs(away - radii) < _RIM * radii) & (pointing > _POINTING))
