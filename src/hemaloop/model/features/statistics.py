"""How a cell's grey levels are spread."""

import numpy as np
from numpy.typing import NDArray


def statistics(levels: NDArray[np.uint8]) -> dict[str, float]:
    """Mean, variance and skewness of n levels, 0 to 255.

    Returns:
        mean: m = sum z / n.
        variance: s^2 = sum (z - m)^2 / n.
        skewness: sum (z - m)^3 / (n s^3): 0 of what lies evenly about its mean, and of one even level.

    Source: Gonzalez and Woods, "Digital image processing", 3rd ed., section 11.3.
    """
    exact = levels.astype(np.float64)
    away = exact - exact.mean()
    variance = float((away**2).mean())
    skewness = float((away**3).mean()) / variance**1.5 if variance > 0 else 0.0
    return {"mean": float(exact.mean()), "variance": variance, "skewness": skewness}
