"""k-means on colour: background, other components and cells; the same clusters each time, on every machine."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.decode import Image
from hemaloop.inference.steps.picture import Plane, to_lab

_SAMPLE_SIDE = 64  # px; centres are learned from a picture at most this large
_ROUNDS = 12
_TAIL = 1  # percent of the pixels at either end that may be specks

Colours = NDArray[np.int64]  # (n, 3): L * 127/100, a + 128, b + 128, so that distances are about CIELAB's own


def cluster(pixels: Image, clusters: int) -> tuple[Plane, Colours]:
    """Each pixel's cluster.

    Nothing is drawn by chance: the first centres are colours at even steps from the least to the most stained, so that
    a small nucleus has one too, and sums and distances are integers.

    Args:
        pixels: RGB (H, W, 3).
        clusters: how many, 2 to 8.

    Returns:
        Labels (H, W), 0 the least stained, and the centres in that order; fewer than `clusters` where the picture
        has fewer colours, so that only the first of them may be there.

    Source: Lloyd 1982, "Least squares quantization in PCM".
    """
    height, width = pixels.shape[:2]
    size = (min(width, _SAMPLE_SIDE), min(height, _SAMPLE_SIDE))
    centres = _learn(_colours(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)), clusters)
    return _nearest(_colours(pixels).astype(np.float32), centres), centres


def stain(lab: Colours) -> NDArray[np.int64]:
    """How stained a colour is: dark, and towards the purple of nuclei. 0 is white glass."""
    return np.asarray((127 - lab[..., 0]) + lab[..., 1] - lab[..., 2])


def _colours(pixels: Image) -> Image:
    halved = np.stack([np.arange(256) // 2, np.arange(256), np.arange(256)], axis=1).astype(np.uint8)
    colours: Image = cv2.LUT(to_lab(pixels), halved.reshape(1, 256, 3))
    return colours


def _learn(sample: Image, clusters: int) -> Colours:
    """Centres (k, 3), least stained first, all different."""
    colours, exact = sample.reshape(-1, 3).astype(np.int64), sample.astype(np.float32)
    centres = _first(colours, clusters)
    for _ in range(_ROUNDS):
        moved = _means(colours, _nearest(exact, centres).ravel(), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    different = np.unique(centres, axis=0)
    return np.asarray(different[np.argsort(stain(different), kind="stable")])


def _first(colours: Colours, clusters: int) -> Colours:
    ordered = colours[np.argsort(stain(colours), kind="stable")]
    stained, last = stain(ordered), len(ordered) - 1
    least, most = stained[last * _TAIL // 100], stained[last - last * _TAIL // 100]
    even = least + (most - least) * np.arange(clusters) // (clusters - 1)
    return np.asarray(ordered[np.abs(stained[:, np.newaxis] - even).argmin(axis=0)])


def _means(colours: Colours, labels: Plane, otherwise: Colours) -> Colours:
    """Of each cluster, rounded to whole levels: exact sums leave nothing to the order of adding."""
    clusters = len(otherwise)
    counts = np.bincount(labels, minlength=clusters)[:, np.newaxis]
    sums = np.stack([np.bincount(labels, colours[:, each], clusters) for each in range(3)], axis=1).astype(np.int64)
    means = (2 * sums + counts) // np.maximum(2 * counts, 1)
    return np.asarray(np.where(counts > 0, means, otherwise))


def _nearest(colours: NDArray[np.float32], centres: Colours) -> Plane:
    """|x - c|^2 less |x|^2, which no comparison needs: whole numbers below 2^24, so exact in float32."""
    weights = np.column_stack([-2 * centres, (centres**2).sum(axis=1)]).astype(np.float32)
    labels = np.zeros(colours.shape[:2], np.uint8)
    smallest = cv2.transform(colours, weights[:1])
    for place, row in enumerate(weights[1:], start=1):
        distance = cv2.transform(colours, row[np.newaxis])
        labels[distance < smallest] = place
        smallest = np.minimum(smallest, distance)
    return labels
