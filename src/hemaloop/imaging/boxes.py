"""Boxes on an image, and which found box is which expected one."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A part of an image, in pixels; right and bottom lie outside."""

    left: int
    top: int
    right: int
    bottom: int

    def __str__(self) -> str:
        return f"{self.left}_{self.top}_{self.right}_{self.bottom}"

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


@dataclass(frozen=True)
class Match:
    found: int  # which of the found boxes
    expected: int
    iou: float


def iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, 0 to 1.

    Source: Everingham et al. 2010, "The PASCAL visual object classes challenge", section 4.2.
    """
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (one.width * one.height + other.width * other.height - both)


def match(found: Sequence[Box], expected: Sequence[Box], least: float = 0.5) -> tuple[Match, ...]:
    """Pairs of a found and an expected box, each at most once, the best first; `least`: the IoU a pair must have."""
    pairs = [Match(here, there, iou(a, b)) for here, a in enumerate(found) for there, b in enumerate(expected)]
    taken: list[Match] = []
    for pair in sorted(pairs, key=lambda pair: -pair.iou):
        free = all(pair.found != other.found and pair.expected != other.expected for other in taken)
        if free and pair.iou >= least:
            taken.append(pair)
    return tuple(taken)
