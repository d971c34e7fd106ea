"""How far some uploads lie from what came before, beyond what chance alone explains. Pure rules over numbers."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

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
    """How far the classes' shares of two samples are apart for sure, 0 to 1; NaN where there is nothing to compare."""
    return shares_apart(Counter(sample), Counter(reference), len(sample), len(reference))


def shares_apart(
    sample: Mapping[str, int], reference: Mapping[str, int], independent: float, independent_reference: float
) -> float:
    """How far two samples' shares, from counts, are apart for sure, 0 to 1; NaN where there is nothing to compare.

    The total variation distance (half the sum of the differences) less what chance alone exceeds once in a
    thousand: its mean is at most sqrt((classes - 1)(1/n + 1/m)) / 2, by Cauchy and Schwarz.

    Args:
        independent, independent_reference: n and m: how many independent draws the samples are worth; see `worth`.

    Source: McDiarmid 1989, "On the method of bounded differences".
    """
    totals = sum(sample.values()), sum(reference.values())
    if not all(totals):
        return math.nan
    classes = set(sample) | set(reference)
    apart = sum(abs(sample.get(name, 0) / totals[0] - reference.get(name, 0) / totals[1]) for name in classes) / 2
    spread = 1 / independent + 1 / independent_reference
    by_chance = math.sqrt((len(classes) - 1) * spread) / 2 + math.sqrt(-math.log(CHANCE) * spread / 2)
    return max(0.0, apart - by_chance)


def worth(blocks: Iterable[int]) -> float:
    """How many independent draws some images are worth that come in blocks, alike within: of a slide, say.

    As many as the images where each is a block of its own, and one where all are one block. A mean over the images
    changes by at most a block's share if the block is another one, which is all that McDiarmid's bound asks of it.

    Source: Kish 1965, "Survey Sampling": the effective sample size, (sum n)^2 / (sum n^2).
    """
    sizes = [float(size) for size in blocks if size]
    return sum(sizes) ** 2 / sum(size**2 for size in sizes) if sizes else 0.0


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
