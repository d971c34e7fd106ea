"""A benchmark's answer: ours against a limit, measured alternately in one run on one machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Ratio:
    name: str
    ours: float  # seconds
    limit: float  # seconds, of the least that could do it
    limit_is: str
    goal: float  # of ours / limit, at most
    stages: Mapping[str, float] = field(default_factory=dict)  # seconds: where ours went

    @property
    def ratio(self) -> float:
        return self.ours / self.limit

    @property
    def reached(self) -> bool:
        return self.ratio <= self.goal


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], limit: Callable[[], object], rounds: int = 5) -> tuple[float, float]:
    """Median seconds of both, taken in turns so that a busy machine slows both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, so_far in zip((ours, limit), taken, strict=True):
            so_far.append(seconds(call))
    return median(taken[0]), median(taken[1])
