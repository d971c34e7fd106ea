"""Which side a group is on: decided once, by a pure function, and recorded in git beside the batch."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hemaloop.config import check
from hemaloop.dataset.groups import Components
from hemaloop.dataset.records import EXCLUDED, SIDES, TEST, TRAIN, VALIDATION, SealedImage
from hemaloop.errors import DataError

# What has been held out stays held out: a component takes the strictest side that one of its groups has.
_STRICTEST = (TEST, VALIDATION, TRAIN)

Counts = Counter[str | None]  # images by label


@dataclass(frozen=True)
class SplitParams:
    """Section `split` of params.yaml."""

    seed: int
    train: float  # wanted share of the images of each class
    validation: float
    test: float
    neighbour_minutes: float  # images of one device this close in time are one group, where no slide is known

    def __post_init__(self) -> None:
        for name in SIDES:
            check(0 <= self.share(name) <= 1, f"{name} {self.share(name)}: wanted a share from 0 to 1")
        total = sum(self.share(name) for name in SIDES)
        check(abs(total - 1) < 1e-6, f"train, validation and test add up to {total:g}: wanted 1")
        check(self.train > 0, "train is 0: nothing could be learnt")
        check(self.neighbour_minutes > 0, f"neighbour_minutes {self.neighbour_minutes}: wanted more than 0")

    def share(self, side: str) -> float:
        return {TRAIN: self.train, VALIDATION: self.validation, TEST: self.test}[side]


def recorded_sides(images: Iterable[SealedImage]) -> dict[str, str]:
    """The side of each group. Raises: DataError: a group is recorded on two."""
    sides: dict[str, str] = {}
    for image in images:
        if sides.setdefault(image.group, image.side) != image.side:
            raise DataError(
                f"group {image.group} is on two sides, {sides[image.group]} and {image.side} (image {image.sha256}): "
                "a group keeps the side of its first batch; undo the commit that changed data/batches/*.csv"
            )
    return sides


def component_sides(sides: Mapping[str, str], components: Components) -> dict[str, str]:
    """The side of each component that has one; groups of another side than their component's are excluded."""
    found: dict[str, set[str]] = {}
    for group, side in sides.items():
        found.setdefault(components.of(group), set()).add(side)
    return {name: next(side for side in _STRICTEST if side in on) for name, on in found.items()}


def effective_side(image: SealedImage, components: Components, sides: Mapping[str, str]) -> str:
    """The recorded side, or 'excluded' when the group was found to be one with a group of a stricter side.

    Images of such a group that arrive later are excluded too: models have learnt from its earlier ones.
    """
    return image.side if sides[components.of(image.group)] == image.side else EXCLUDED


def decide_sides(new: Mapping[str, Counts], present: Mapping[str, Counts], params: SplitParams) -> dict[str, str]:
    """Give each new group the side that lacks its classes most, largest groups first.

    Args:
        new: images by label of each group that has no side yet.
        present: images by label of each side (those that are not excluded).
        params: the wanted shares; the seed settles ties, by a hash of seed and group.

    The cost of a side is what the squared distance from the wanted numbers, summed over classes, becomes with it.
    """
    have = {side: Counter(present.get(side, {})) for side in SIDES}
    decided = {}
    for group in sorted(new, key=lambda name: (-new[name].total(), _hash(params.seed, name))):
        side = min(
            _open(params), key=lambda side: (_cost(side, new[group], have, params), _hash(params.seed, group, side))
        )
        have[side].update(new[group])
        decided[group] = side
    return decided


def _open(params: SplitParams) -> list[str]:
    return [side for side in SIDES if params.share(side) > 0]


def _cost(side: str, images: Counts, have: Mapping[str, Counts], params: SplitParams) -> float:
    cost = 0.0
    for label, count in images.items():
        total = count + sum(have[each][label] for each in SIDES)
        surplus = have[side][label] - params.share(side) * total
        cost += count * (count + 2 * surplus)  # (surplus + count)^2 - surplus^2; the other sides cost the same
    return round(cost, 6)


def _hash(seed: int, *names: str) -> str:
    return hashlib.sha256("\n".join((str(seed), *names)).encode()).hexdigest()
