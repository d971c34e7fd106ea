"""How far the shipped file still says what its float parent says."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import cohen_kappa_score

from hemaloop.model.evaluation.figures import Answers


@dataclass(frozen=True)
class Agreement:
    images: int
    same_answers: float  # share
    kappa: float  # Cohen's: agreement beyond what chance gives; 1 where both always give one and the same answer
    largest_probability_difference: float
    mean_probability_difference: float
    mended: int  # images that the float model answers wrongly and the shipped file rightly
    spoilt: int  # the reverse


def compare_answers(shipped: Answers, parent: Answers) -> Agreement:
    """Two models' answers to the same images.

    Source: Cohen 1960, Educ. Psychol. Meas. 20:37.
    """
    apart = np.abs(shipped.probabilities.astype(np.float64) - parent.probabilities)
    same = shipped.answered == parent.answered
    constant = len(np.unique(np.concatenate((shipped.answered, parent.answered)))) == 1
    return Agreement(
        images=len(shipped),
        same_answers=float(same.mean()),
        kappa=1.0 if constant else float(cohen_kappa_score(shipped.answered, parent.answered)),
        largest_probability_difference=float(apart.max()),
        mean_probability_difference=float(apart.mean()),
        mended=int((shipped.right & ~parent.right).sum()),
        spoilt=int((parent.right & ~shipped.right).sum()),
    )
