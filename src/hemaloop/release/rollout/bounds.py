"""What counts can be trusted to say: bounds that few devices and few images do not fool."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist


@dataclass(frozen=True)
class Share:
    """`count` of `of`; weighed counts need not be whole numbers."""

    count: float = 0.0
    of: float = 0.0

    @property
    def value(self) -> float:
        """0 where there is nothing to count."""
        return self.count / self.of if self.of else 0.0


NOTHING = Share()


def wilson(share: Share, confidence: float) -> tuple[float, float]:
    """Lower and upper bound of a proportion, each one-sided; 0 and 1 where nothing was counted.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    if not share.of:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(confidence)
    n, p = share.of, share.value
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(max(p * (1 - p), 0.0) / n + z * z / (4 * n * n))
    # At the ends one bound is exact, whatever rounding leaves of it.
    return (0.0 if share.count <= 0 else max(middle - half, 0.0)), (1.0 if share.count >= n else min(middle + half, 1))


def surely_more(share: Share, than: Share, confidence: float) -> float:
    """Lower bound of the difference of two proportions; with nothing to compare with, of the first alone.

    Source: Newcombe 1998, method 10, doi:10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    """
    low = wilson(share, confidence)[0]
    if not than.of:
        return low
    if not share.of:
        return -1.0
    high = wilson(than, confidence)[1]
    return share.value - than.value - sqrt((share.value - low) ** 2 + (high - than.value) ** 2)


def distance(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    """Total variation between two distributions of labels, from counts: 0 the same, 1 nothing in common."""
    now_sum, before_sum = sum(now.values()), sum(before.values())
    if not now_sum or not before_sum:
        return 0.0
    labels = now.keys() | before.keys()
    return sum(abs(now.get(label, 0) / now_sum - before.get(label, 0) / before_sum) for label in labels) / 2


def chance_distance(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    """At most so much total variation is to be expected between counts of one and the same distribution.

    Cauchy-Schwarz over the labels' standard errors: whatever the distribution is.
    """
    labels = len(now.keys() | before.keys())
    return sqrt(max(labels - 1, 0) * _noise(now, before)) / 2


def sure_distance(now: Mapping[str, float], before: Mapping[str, float], confidence: float) -> float:
    """Lower bound of the total variation of what both were drawn from.

    One image more or less changes the distance by 1/n at most, so McDiarmid's inequality bounds what chance adds to
    its expectation. Source: McDiarmid 1989, doi:10.1017/CBO9781107359949.008.
    """
    noise = _noise(now, before)
    return distance(now, before) - chance_distance(now, before) - sqrt(noise * log(1 / (1 - confidence)) / 2)


def _noise(now: Mapping[str, float], before: Mapping[str, float]) -> float:
    now_sum, before_sum = sum(now.values()), sum(before.values())
    return 1 / now_sum + 1 / before_sum if now_sum and before_sum else 1.0
