"""How long one image takes, fairly compared. No TensorFlow."""

import time
from collections.abc import Callable, Mapping
from random import Random
from statistics import median

WARM_UP = 3  # runs that do not count


def compare(runs: int, calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of each call; the calls take turns, so that a busy moment hits all alike.

    In another order each time, the same whenever it is asked: whoever always follows a large model finds the caches
    full of it, and looks some 5 % slower than the very same file behind a small one.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(-WARM_UP, runs):
        for name in Random(run).sample(list(calls), len(calls)):
            start = time.perf_counter()
            calls[name]()
            if run >= 0:
                times[name].append((time.perf_counter() - start) * 1000)
    return {name: median(values) for name, values in times.items()}
