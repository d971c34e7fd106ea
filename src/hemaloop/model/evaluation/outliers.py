"""Does the shipped file know what it does not know? Scores of strangeness, from its probabilities alone.

A shipped file gives probabilities and nothing else: logits are known but for a constant, so the energy score (Liu et
al. 2020) cannot be computed, and there are no features for a Mahalanobis distance (Lee et al. 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import entropy

from hemaloop.model.evaluation.bootstrap import Figure, figures_with_intervals
from hemaloop.model.evaluation.figures import Answers, Probabilities, Reals, area_under_roc, average

KEPT = 0.95  # share of known images that the threshold lets through


@dataclass(frozen=True)
class Detection:
    """How well strange images are told from known ones."""

    images: int  # strange ones
    auroc: Figure  # by one minus the largest probability; 0.5: not at all
    auroc_entropy: Figure  # by the entropy of the probabilities
    let_through: Figure  # share of the strange ones that pass the threshold


def strangeness(probabilities: Probabilities) -> Reals:
    """(n,) one minus the largest probability.

    Source: Hendrycks and Gimpel 2017, "A baseline for detecting misclassified and out-of-distribution examples",
    arXiv:1610.02136.
    """
    return np.asarray(1 - probabilities.max(axis=1).astype(np.float64))


def threshold_of(validation: Probabilities) -> float:
    """The strangeness that 95 % of the validation side stay at or below."""
    return float(np.quantile(strangeness(validation), KEPT, method="higher"))


def detect(
    known: Answers, strange: Probabilities, strange_groups: Sequence[str], threshold: float, rounds: int, seed: int
) -> Detection:
    """Tell `strange` (m, classes) from `known` (n, classes), n and m >= 1.

    Args:
        strange_groups: m names; those of `known` where the strange images are made from its images.
        rounds: draws of the groups of both, for the intervals.
    """
    both = np.concatenate((known.probabilities, strange))
    is_strange = np.repeat([False, True], [len(known), len(strange)])
    doubt, spread = strangeness(both), _entropy(both)
    passes = (doubt <= threshold).astype(np.float64)

    def figures(weights: Reals) -> dict[str, Reals]:
        return {
            "auroc": area_under_roc(is_strange, doubt, weights),
            "auroc_entropy": area_under_roc(is_strange, spread, weights),
            "let_through": average(passes[is_strange], weights[is_strange]),
        }

    found = figures_with_intervals(figures, (*known.groups, *strange_groups), rounds, seed)
    return Detection(images=len(strange), **found)


def _entropy(probabilities: Probabilities) -> Reals:
    return np.asarray(entropy(np.maximum(probabilities.astype(np.float64), 1e-12), axis=1))
