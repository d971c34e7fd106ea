"""How far the shipped file still says what its float parent says."""

from dataclasses import dataclass

import numpy as np

from hemaloop.model.evaluation.bootstrap import Figure, figures_with_intervals
from hemaloop.model.evaluation.figures import Answers, Reals, average, confusion


@dataclass(frozen=True)
class Agreement:
    images: int
    same_answers: Figure  # share
    kappa: Figure  # Cohen's: agreement beyond what chance gives; 1 where both always give one and the same answer
    largest_probability_difference: float
    mean_probability_difference: float
    mended: int  # images that the float model answers wrongly and the shipped file rightly
    spoilt: int  # the reverse


def compare_answers(shipped: Answers, parent: Answers, rounds: int, seed: int) -> Agreement:
    """Two models' answers to the same images; intervals over groups, by `rounds` draws."""
    apart = np.abs(shipped.probabilities.astype(np.float64) - parent.probabilities)
    same = (shipped.answered == parent.answered).astype(np.float64)

    def figures(weights: Reals) -> dict[str, Reals]:
        return {"same": average(same, weights), "kappa": _kappa(shipped, parent, weights)}

    found = figures_with_intervals(figures, shipped.groups, rounds, seed)
    return Agreement(
        images=len(shipped),
        same_answers=found["same"],
        kappa=found["kappa"],
        largest_probability_difference=float(apart.max()),
        mean_probability_difference=float(apart.mean()),
        mended=int((shipped.right & ~parent.right).sum()),
        spoilt=int((parent.right & ~shipped.right).sum()),
    )


def _kappa(shipped: Answers, parent: Answers, weights: Reals) -> Reals:
    """(rounds,). Source: Cohen 1960, Educ. Psychol. Meas. 20:37."""
    table = confusion(Answers(parent.answered, shipped.probabilities, shipped.groups), weights)
    shares = table / table.sum(axis=(1, 2), keepdims=True)
    observed = np.trace(shares, axis1=1, axis2=2)
    by_chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
    constant = np.isclose(by_chance, 1)
    return np.asarray(np.divide(observed - by_chance, 1 - by_chance, out=np.ones(len(table)), where=~constant))
