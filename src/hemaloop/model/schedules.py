"""When a phase of training ends, and how fast it learns: rules over the validation losses so far."""

from collections.abc import Sequence

PLATEAU_EPOCHS = 3  # in a row without a better loss, after which the learning rate falls
PLATEAU_FACTOR = 0.5


def best_of(losses: Sequence[float]) -> int:
    """Position of the lowest loss, of equals the first; `losses[0]` is from before the first epoch."""
    best = 0
    for position, loss in enumerate(losses):
        best = position if loss < losses[best] else best
    return best


def stops(losses: Sequence[float], patience: int) -> bool:
    """Whether no epoch of the last `patience` was the best one; never where patience is 0."""
    return patience > 0 and len(losses) - 1 - best_of(losses) >= patience


def rate_on_plateau(start: float, losses: Sequence[float]) -> float:
    """The learning rate of the next epoch: `start`, halved after each three epochs in a row without a better loss."""
    rate, best, waited = start, losses[0], 0
    for loss in losses[1:]:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == PLATEAU_EPOCHS:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate
