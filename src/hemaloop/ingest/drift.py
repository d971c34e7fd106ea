"""How far some uploads lie from what came before, beyond what chance alone explains. Pure rules over numbers."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

CHANCE = 0.001  # a difference that chance alone exceeds more rarely is none of its doing
_Z = 1.96


def drift(sample: Sequence[float], reference: Sequence[float]) -> float:
    """How far apart two samples' distributions are for sure: 0 the same, 1 nothing in common.

    The Kolmogorov-Smirnov distance (the largest difference of the cumulative shares) less its critical value, so
    that few uploads raise no alarm. NaN where there is nothing to compare.

    Source: Smirnov 1948, "Table for estimating the goodness of fit of empirical distributions".
    """
    if not sample or not reference:
        return math.nan
    first, second = np.sort(np.asarray(sample, float)), np.sort(np.asarray(reference, float))
    at = np.concatenate([first, second])
    shares = [np.searchsorted(each, at, side="right") / len(each) for each in (first, second)]
    by_chance = math.sqrt(-math.log(CHANCE / 2) / 2 * (1 / len(first) + 1 / len(second)))
    return max(0.0, float(np.abs(shares[0] - shares[1]).max()) - by_chance)


def imbalance(sample: Sequence[str], reference: Sequence[str]) -> float:
    """How far the classes' shares of two samples are apart for sure, 0 to 1; NaN where there is nothing to compare.

    The total variation distance (half the sum of the differences) less what chance alone exceeds once in a
    thousand: its mean is at most sqrt((classes - 1)(1/n + 1/m)) / 2, by Cauchy and Schwarz.

    Source: McDiarmid 1989, "On the method of bounded differences".
    """
    if not sample or not reference:
        return math.nan
    shares = [{name: count / len(each) for name, count in Counter(each).items()} for each in (sample, reference)]
    classes = set(shares[0]) | set(shares[1])
    apart = sum(abs(shares[0].get(name, 0.0) - shares[1].get(name, 0.0)) for name in classes) / 2
    spread = 1 / len(sample) + 1 / len(reference)
    by_chance = math.sqrt((len(classes) - 1) * spread) / 2 + math.sqrt(-math.log(CHANCE) * spread / 2)
    return max(0.0, apart - by_chance)


def surely(count: int, of: int) -> float:
    """The lower end of the 95 % interval of a share: 1 of 1 says little, 60 of 100 much.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if of == 0:
        return math.nan
    share, z2 = count / of, _Z**2
    middle = share + z2 / (2 * of)
    half = _Z * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return max(0.0, (middle - half) / (1 + z2 / of))
