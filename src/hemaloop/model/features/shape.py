"""How large a cell is, and how round."""

import math

import numpy as np
from skimage.measure import perimeter

from hemaloop.model.features.cell import Mask


def shape(mask: Mask) -> dict[str, float]:
    """Area, perimeter and compactness of a region (h, w).

    Returns:
        area: pixels of the region, A.
        perimeter: length of its border in px, P, from the numbers of border pixels by how they touch.
        compactness: P^2 / (4 pi A): 1 of a disc, 4/pi = 1.27 of a square, more the more ragged; on pixels a small
            disc may come out a little below 1.

    Source: perimeter, Benkrid and Crookes 2000, "Design and FPGA implementation of a perimeter estimator", as
    scikit-image has it; compactness, Gonzalez and Woods, "Digital image processing", 3rd ed., section 11.3.
    """
    # Padded, so that what touches the edge of the mask is border too.
    area, length = float(mask.sum()), float(perimeter(np.pad(mask, 1), neighborhood=4))
    return {"area": area, "perimeter": length, "compactness": length**2 / (4 * math.pi * area)}
