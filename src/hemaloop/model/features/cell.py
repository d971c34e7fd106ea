"""Which pixels are the cell that the features are about."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import label, regionprops

from hemaloop.imaging.decode import Image
from hemaloop.inference.steps.clusters import cluster

Mask = NDArray[np.bool_]

_CLUSTERS = 3  # background, other components, cells
_LEAST = 9  # pixels; fewer have no shape


@dataclass(frozen=True)
class Cell:
    """One region of an image, and the image around it as it was cut out."""

    pixels: Image  # RGB (h, w, 3), the region's bounding box
    mask: Mask  # (h, w), which of them are the region


def find_cell(image: Image) -> Cell | None:
    """The largest region of the most stained of three clusters of colour, holes filled; None where there is none.

    Source: S5 parts background, other components and cells by k-means; see `inference.steps.clusters`.
    """
    labels, centres = cluster(image, _CLUSTERS)
    if len(centres) < _CLUSTERS:
        return None
    stained = (labels == _CLUSTERS - 1).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    regions = regionprops(label(cv2.morphologyEx(stained, cv2.MORPH_OPEN, disc), connectivity=2))
    largest = max(regions, key=lambda region: region.area, default=None)
    if largest is None or largest.area < _LEAST:
        return None
    return Cell(image[largest.slice], np.asarray(largest.image_filled, np.bool_))
