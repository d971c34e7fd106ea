"""White cells in a field of a blood film: nuclei first, then what belongs to them.

k-means in CIELAB finds the nuclei (stained.py); lobes are joined and touching nuclei split by size; a watershed then
grows each nucleus over its cytoplasm, against red cells and background.

A cell that the border cuts counts as soon as as much of its nucleus is seen as a platelet never has: 10 um2.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.boxes import Box
from hemaloop.imaging.decode import Image
from hemaloop.imaging.resizing import resized
from hemaloop.imaging.ruler import estimate
from hemaloop.imaging.stained import Mask, Stained, purpleness, separate

Labels = NDArray[np.int32]  # (H, W), 0 where nothing is, else a number for each cell

_SIDE = 240  # px, the shorter side at which cells are looked for; smaller images stay
_COARSEST_UM = 0.4  # per px: where that would be coarser, the image is reduced less
_SPECKLE_UM = 0.3  # radius of what is removed from nuclei
_PLATELET_UM2 = 10.0  # nothing with less purple than this is a white cell
_LOBES_APART_UM = 2.4
_WHOLE_NUCLEUS_UM = 2.9  # inscribed radius: a lobe's is smaller, so that two with more are two cells
_TWO_NUCLEI_UM = 14.0  # across: less is one nucleus, whatever its shape
_LOBES_UM2 = 15.0  # less beside a whole nucleus is a piece of it
_REACH_UM = 4.5  # of cytoplasm from the nucleus, at most
_SMOOTH_UM = 0.4
_MOST = 85  # percentile of the purpleness of what is far from nuclei
_PURPLER = 0.06  # cytoplasm than that, as a share of what nuclei are
_FRINGE_UM = 1.0  # radius: thinner things hanging on cells are the coloured fringes of red cells
_MARGIN_UM = 0.6  # annotators draw boxes around cells, not onto them


def find_white_cells(image: Image, um_per_px: float | None = None) -> tuple[Box, ...]:
    """Boxes around the white cells of an RGB uint8 (H, W, 3) image, from the top down.

    Args:
        um_per_px: micrometres per pixel; None estimates it, and finds nothing where that is not possible.
    """
    if um_per_px is None:
        scale = estimate(image)
        if scale is None:
            return ()
        um_per_px = scale.um_per_px
    small = _reduced(image, um_per_px)
    grown = image.shape[0] / small.shape[0]
    stained = separate(small)
    nuclei = find_nuclei(stained.nuclei, um_per_px * grown)
    cells = grow(stained, nuclei, um_per_px * grown)
    margin = _MARGIN_UM / um_per_px
    boxes = (_box(cells == number, grown, margin, image.shape) for number in range(1, int(nuclei.max()) + 1))
    return tuple(sorted(boxes, key=lambda box: (box.top, box.left)))


def _reduced(image: Image, um_per_px: float) -> Image:
    short = min(image.shape[:2])
    side = min(short, max(_SIDE, round(short * um_per_px / _COARSEST_UM)))
    return resized(image, side)


def find_nuclei(purple: Mask, um_per_px: float) -> Labels:
    """A number for each nucleus; its lobes share one, and touching nuclei have their own."""
    clean = cv2.morphologyEx(purple, cv2.MORPH_OPEN, _disc(_SPECKLE_UM / um_per_px))
    joined = cv2.dilate(clean, _disc(_LOBES_APART_UM / 2 / um_per_px))
    _, groups = cv2.connectedComponents(joined)
    nuclei = np.zeros(purple.shape, np.int32)
    least = _PLATELET_UM2 / um_per_px**2
    found = 0
    for number in range(1, int(groups.max()) + 1):
        for part in _parts((clean > 0) & (groups == number), um_per_px):
            if part.sum() >= least:
                found += 1
                nuclei[part] = found
    return nuclei


def _parts(group: NDArray[np.bool_], um_per_px: float) -> list[NDArray[np.bool_]]:
    """One nucleus, or several where a whole one lies beside another: each pixel to the nearest core.

    What hangs together with no core is lobes, and they are one nucleus, unless they are too little for one.
    """
    purple = group.astype(np.uint8)
    inner = cv2.distanceTransform(purple, cv2.DIST_L2, 5)
    count, numbers = cv2.connectedComponents((inner > _WHOLE_NUCLEUS_UM / um_per_px).astype(np.uint8))
    _, pieces = cv2.connectedComponents(purple)
    lobes = group & ~np.isin(pieces, np.unique(pieces[numbers > 0]))
    cores = [numbers == core for core in range(1, count)]
    if cores and lobes.sum() * um_per_px**2 > _LOBES_UM2:
        cores.append(lobes)
    if len(cores) < 2 or _across(purple) * um_per_px < _TWO_NUCLEI_UM:
        return [group]
    away = [cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 5) for core in cores]
    nearest = np.argmin(away, axis=0)
    return [group & (nearest == core) for core in range(len(cores))]


def _across(purple: Mask) -> float:
    """Diameter of the smallest circle around it, px."""
    outlines, _ = cv2.findContours(purple, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return 2 * float(cv2.minEnclosingCircle(np.concatenate(outlines))[1])


def grow(stained: Stained, nuclei: Labels, um_per_px: float) -> Labels:
    """Nuclei and their cytoplasm, by watershed from the nuclei against what is surely something else."""
    away = cv2.distanceTransform((nuclei == 0).astype(np.uint8), cv2.DIST_L2, 5) * um_per_px
    purple = cv2.GaussianBlur(purpleness(stained.lab), (0, 0), _SMOOTH_UM / um_per_px)
    body = (purple >= _plain(purple[away > _REACH_UM], stained)).astype(np.uint8)
    body = cv2.morphologyEx(body, cv2.MORPH_OPEN, _disc(_FRINGE_UM / um_per_px))
    body[away > _REACH_UM] = 0
    # At one level: nuclei's own edges are stronger than cells', so that colours would stop the flood too early.
    flooded: Labels = cv2.watershed(np.zeros((*nuclei.shape, 3), np.uint8), nuclei.copy())
    return _touching(np.where(nuclei > 0, nuclei, np.where(body > 0, flooded, 0)), nuclei)


def _touching(cells: Labels, nuclei: Labels) -> Labels:
    """Of each cell only what hangs together with its nucleus."""
    kept = nuclei.copy()
    for number in range(1, int(nuclei.max()) + 1):
        _, pieces = cv2.connectedComponents((cells == number).astype(np.uint8))
        kept[(pieces > 0) & np.isin(pieces, np.unique(pieces[nuclei == number]))] = number
    return kept


def _plain(purple: NDArray[np.float32], stained: Stained) -> float:
    """How purple background and red cells are at most: as most of what is far from nuclei, and a little more."""
    of_rest = float(np.percentile(purple, _MOST)) if len(purple) else float(purpleness(stained.centres[-2]))
    return of_rest + _PURPLER * (float(purpleness(stained.centres[-1])) - of_rest)


def _disc(radius: float) -> Mask:
    side = 2 * max(1, round(radius)) + 1
    disc: Mask = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return disc


def _box(cell: NDArray[np.bool_], grown: float, margin: float, shape: tuple[int, ...]) -> Box:
    """`grown`: pixels of the image in one of the cell's; `margin` in pixels of the image."""
    rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
    left, top = columns[0] * grown - margin, rows[0] * grown - margin
    right, bottom = (columns[-1] + 1) * grown + margin, (rows[-1] + 1) * grown + margin
    return Box(max(0, round(left)), max(0, round(top)), min(shape[1], round(right)), min(shape[0], round(bottom)))
