"""How even the grey levels of a cell are, one by one and in pairs."""

import numpy as np
from numpy.typing import NDArray
from skimage.feature import graycomatrix

from hemaloop.model.features.cell import Mask

_LEVELS = 32  # grey levels told apart, of 256
_ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)


def texture(grey: NDArray[np.uint8], mask: Mask) -> dict[str, float]:
    """Uniformity, second angular moment and energy.

    Args:
        grey: (h, w), levels 0 to 255; brought to 32.
        mask: (h, w), the cell; pairs of pixels count where both are of it.

    Returns:
        uniformity: sum over levels of p(z)^2, where p(z) is the share of the cell's pixels at level z.
        second_angular_moment: sum over pairs of levels of p(i, j)^2, where p is the co-occurrence matrix of
            neighbours at distance 1, the same both ways, mean over 0, 45, 90 and 135 degrees.
        energy: its square root, mean over the same directions.
        All are 1 of one even level.

    Source: uniformity, Gonzalez and Woods, "Digital image processing", 3rd ed., section 11.3; second angular moment,
    Haralick, Shanmugam and Dinstein 1973, "Textural features for image classification", f1; energy as scikit-image's
    `graycoprops` defines it.
    """
    levels = grey.astype(np.uint16) * _LEVELS // 256
    shares = np.bincount(levels[mask], minlength=_LEVELS) / mask.sum()
    # Level 0 is what is not the cell; its pairs are dropped before shares are taken.
    told = np.where(mask, levels + 1, 0).astype(np.uint8)
    counts = graycomatrix(told, [1], _ANGLES, levels=_LEVELS + 1, symmetric=True)[1:, 1:, 0].astype(np.float64)
    totals = counts.sum(axis=(0, 1))
    moments = ((counts / np.maximum(totals, 1)) ** 2).sum(axis=(0, 1))
    return {
        "uniformity": float((shares**2).sum()),
        "energy": float(np.sqrt(moments).mean()),
        "second_angular_moment": float(moments.mean()),
    }
