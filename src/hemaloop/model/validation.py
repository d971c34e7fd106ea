"""How good a model is on the side that choices may look at. No TensorFlow."""

import numpy as np
import numpy.typing as npt


def macro_sensitivity(labels: npt.NDArray[np.intp], probabilities: npt.NDArray[np.float32]) -> float:
    """Mean over the classes that are there of the share answered rightly; labels (n,), probabilities (n, classes)."""
    right = probabilities.argmax(axis=1) == labels
    return float(np.mean([right[labels == label].mean() for label in np.unique(labels)]))
