"""Temperature scaling: one number that makes a network's probabilities mean what they say, and changes no answer."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LOWEST, HIGHEST = 0.1, 10.0  # temperatures that are looked at

UNKNOWN = 0.5  # images of unknown class

_SMALLEST = 1e-30  # a probability's logarithm must exist


def temperature(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.intp]) -> float:
    """The T that makes softmax(z / T) likeliest on images that the network did not learn from.

    Dividing the last layer's kernel and bias by T is the same thing, and costs a device nothing.

    Args:
        probabilities: (n, classes), n >= 1, softmax of the logits z; log p is z but for a constant, which softmax
            does not see. Pass float probabilities: a uint8 file has rounded the small ones away.
        labels: (n,) index of the true class.

    The targets are as if one more image, counted as a half, could be of any class: else a side without a mistake would
    ask for certainty. The idea is Platt's (1999, section 2.2), whose correction grows with the number of classes and
    blunts the temperature where the side is small.

    Source: Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, section 4.2.
    """
    images, classes = probabilities.shape
    logits = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    targets = np.full((images, classes), UNKNOWN / classes / (images + UNKNOWN))
    targets[np.arange(images), labels] += images / (images + UNKNOWN)

    def cost(log_t: float) -> float:
        return -float((targets * log_softmax(logits / np.exp(log_t), axis=1)).sum() / images)

    found = minimize_scalar(cost, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def scaled(probabilities: npt.NDArray[np.floating], by: float) -> npt.NDArray[np.float32]:
    """softmax(z / by) of softmax(z), (n, classes); 1 / T undoes T."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST))
    return np.asarray(np.exp(log_softmax(logits / by, axis=1)), np.float32)
