"""How many layers must be kept finer so that a file loses no more than it may. Pure."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """A file with the worst `layers` layers kept in float."""

    layers: int
    content: bytes
    drop: float  # of macro sensitivity on the validation side, against the same model in float


def attempts(
    layers: int, make: Callable[[int], bytes], drop: Callable[[bytes], float], allowed: float
) -> list[Attempt]:
    """Keep 0, 1, 2, 4 ... up to `layers` of the worst layers finer, until one loses at most `allowed`."""
    tried: list[Attempt] = []
    for count in _doubling(layers):
        content = make(count)
        tried.append(Attempt(count, content, drop(content)))
        if tried[-1].drop <= allowed:
            break
    return tried


def choose(tried: list[Attempt], allowed: float) -> Attempt:
    """The coarsest that loses at most `allowed`; if none does, the one that loses least, of equals the coarsest."""
    good = [attempt for attempt in tried if attempt.drop <= allowed]
    return good[0] if good else min(tried, key=lambda attempt: attempt.drop)


def _doubling(most: int) -> list[int]:
    counts = [0]
    while counts[-1] < most:
        counts.append(min(most, max(1, 2 * counts[-1])))
    return counts
