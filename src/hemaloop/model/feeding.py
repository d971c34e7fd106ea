"""Batches made ahead, so that images are varied while the network learns from those before."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")
AHEAD = 2  # batches that wait, at most


def made_ahead(make: Callable[[int], Batch], count: int) -> Iterator[Batch]:
    """`make(0)` to `make(count - 1)` in order, made by a thread; what `make` raises is raised here."""
    with ThreadPoolExecutor(1) as worker:
        waiting = deque(worker.submit(make, number) for number in range(min(AHEAD, count)))
        try:
            for number in range(count):
                batch = waiting.popleft().result()
                if number + AHEAD < count:
                    waiting.append(worker.submit(make, number + AHEAD))
                yield batch
        finally:
            worker.shutdown(wait=False, cancel_futures=True)
