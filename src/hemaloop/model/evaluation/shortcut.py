"""Does colour alone give the class away? A nearest neighbour that sees nothing else, to hold beside the model."""

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hemaloop.model.evaluation.figures import Labels, Probabilities, Reals

STATISTICS = 12


def colour_statistics(batches: Iterable[npt.NDArray[np.uint8]]) -> Reals:
    """(n, 12): mean and standard deviation of red, green, blue and of CIELAB's L, a, b over each whole image.

    Args:
        batches: RGB uint8 (m, S, S, 3), as the model sees them.
    """
    return np.array([_statistics(image) for batch in batches for image in batch]).reshape(-1, STATISTICS)


def answer_by_colour(train: Reals, labels: Labels, test: Reals, classes: int) -> Probabilities:
    """(n, classes): 1 for the class of the nearest training image in standardised colour statistics, else 0."""
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(n_neighbors=1)).fit(train, labels)
    return np.asarray(np.eye(classes, dtype=np.float32)[model.predict(test)])


def _statistics(image: npt.NDArray[np.uint8]) -> Reals:
    parts = [cv2.meanStdDev(each) for each in (image, cv2.cvtColor(image, cv2.COLOR_RGB2LAB))]
    return np.concatenate([values.ravel() for part in parts for values in part])
