"""95 % intervals by drawing whole groups anew: images of one patient or slide are no independent evidence."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hemaloop.model.evaluation.figures import Reals

LEVEL = 0.95

_CELLS = 1_000_000  # images times rounds that are in memory at once


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval; None: cannot be known."""

    value: float | None
    low: float | None = None
    high: float | None = None


def draw(
    figures: Callable[[Reals], Mapping[str, Reals]], groups: Sequence[str], rounds: int, seed: int
) -> dict[str, Reals]:
    """Each figure over `rounds` draws of as many groups as there are, with replacement.

    Args:
        figures: weights (n, r) -> arrays whose first axis is r, as `figures.overall` has them.
        groups: n names.

    Returns:
        Arrays (rounds, ...).

    Source: cluster bootstrap, Field and Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x.
    """
    parts = [figures(weights) for weights in _weights(groups, rounds, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def figures_with_intervals(
    figures: Callable[[Reals], Mapping[str, Reals]], groups: Sequence[str], rounds: int, seed: int
) -> dict[str, Figure]:
    """Each figure, (rounds,) by its name, of the images as they are, with its interval where groups can be drawn."""
    found = figures(np.ones((len(groups), 1)))
    drawn = draw(figures, groups, rounds, seed) if len(set(groups)) > 1 else {}
    return {name: figure_of(float(value[0]), drawn.get(name)) for name, value in found.items()}


def figure_of(value: float, drawn: Reals | None) -> Figure:
    """The percentile interval; `drawn` (rounds,), None where there is a single group."""
    known = None if drawn is None else drawn[~np.isnan(drawn)]
    if known is None or len(known) == 0 or np.isnan(value):
        return Figure(known_or_none(value))
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Figure(float(value), float(low), float(high))


def calibration_figure_of(value: float, drawn: Reals | None, by_chance: Reals) -> Figure:
    """The basic interval of a calibration error: the percentiles reflected in it, and stretched to hold it.

    Chance alone raises such an error, and drawing anew raises it again: percentiles would say that a perfect model is
    not. Where it is no larger than 97.5 % of those `by_chance` (see `figures.chance_calibration_errors`) the interval
    begins at 0.

    Source: Davison and Hinkley 1997, "Bootstrap methods and their application", section 5.2.
    """
    plain = figure_of(value, drawn)
    if plain.low is None or plain.high is None:
        return plain
    low, high = 2 * value - plain.high, 2 * value - plain.low
    if value <= np.quantile(by_chance, (1 + LEVEL) / 2):
        low = 0.0
    return Figure(float(value), float(np.clip(low, 0, value)), float(np.clip(high, value, 1)))


def known_or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _weights(groups: Sequence[str], rounds: int, seed: int) -> Iterator[Reals]:
    """How often each image is drawn, (n, r), some rounds at a time."""
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS // len(groups))
    for first in range(0, rounds, at_once):
        size = min(at_once, rounds - first)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)
        yield np.ascontiguousarray(drawn[:, members].T, dtype=np.float64)
