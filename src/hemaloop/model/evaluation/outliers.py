"""Does the shipped file know what it does not know? Scores of strangeness, from its probabilities alone.

A shipped file gives probabilities and nothing else: logits are known but for a constant, so the energy score (Liu et
al. 2020) cannot be computed, and there are no features for a Mahalanobis distance (Lee et al. 2018).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score

from hemaloop.model.evaluation.figures import Probabilities, Reals

KEPT = 0.95  # share of known images that the threshold lets through


@dataclass(frozen=True)
class Detection:
    """How well strange images are told from known ones."""

    images: int  # strange ones
    auroc: float  # by one minus the largest probability; 0.5: not at all
    auroc_entropy: float  # by the entropy of the probabilities
    let_through: float  # share of the strange ones that pass the threshold


def strangeness(probabilities: Probabilities) -> Reals:
    """(n,) one minus the largest probability.

    Source: Hendrycks and Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples",
    arXiv:1610.02136.
    """
    return np.asarray(1 - probabilities.max(axis=1).astype(np.float64))


def threshold_of(validation: Probabilities) -> float:
    """The strangeness that 95 % of the validation side stay at or below."""
    return float(np.quantile(strangeness(validation), KEPT, method="higher"))


def detect(known: Probabilities, strange: Probabilities, threshold: float) -> Detection:
    """Tell `strange` (m, classes) from `known` (n, classes), n and m >= 1."""
    return Detection(
        images=len(strange),
        auroc=_auroc(strangeness(known), strangeness(strange)),
        auroc_entropy=_auroc(_entropy(known), _entropy(strange)),
        let_through=float((strangeness(strange) <= threshold).mean()),
    )


def _entropy(probabilities: Probabilities) -> Reals:
    return np.asarray(entropy(np.maximum(probabilities.astype(np.float64), 1e-12), axis=1))


def _auroc(known: Reals, strange: Reals) -> float:
    truth: npt.NDArray[np.intp] = np.repeat([0, 1], [len(known), len(strange)])
    return float(roc_auc_score(truth, np.concatenate((known, strange))))
