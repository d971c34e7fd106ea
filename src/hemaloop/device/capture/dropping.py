"""Which images to give up when the disk's share is full. Values in, a decision out."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiting:
    """An image in the spool."""

    capture: str
    bytes: int
    worth: float  # the share of it that no image before it showed, 0 to 1
    uploaded: bool  # it waits for the model alone


def victims(waiting: Iterable[Waiting], needed_bytes: int, worth: float | None) -> tuple[Waiting, ...] | None:
    """What to give up for a new image that wants `needed_bytes` more than there are.

    First what is in the bucket, of which only an answer is lost; then what is worth no more than the new one; of these
    the least worth, and of equals the oldest. A new image of no `worth` (None) drives out nothing that is not in the
    bucket.

    Returns: no more than is needed, in that order; None: there is not enough, and nothing is to be given up.
    """
    order = sorted(waiting, key=lambda each: (not each.uploaded, 0.0 if each.uploaded else each.worth, each.capture))
    given: list[Waiting] = []
    for each in order:
        if sum(other.bytes for other in given) >= needed_bytes:
            break
        if each.uploaded or (worth is not None and each.worth <= worth):
            given.append(each)
    return tuple(given) if sum(each.bytes for each in given) >= needed_bytes else None
