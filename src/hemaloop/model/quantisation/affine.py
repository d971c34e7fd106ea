"""Affine quantisation as Mahale et al. 2025 (JISEM 10(10s)) give it: numbers as whole ones, a step apart.

    S = (max - min) / (2^b - 1)
    Z = round(-min / S)
    Q(x) = clip(round(x / S + Z), 0, 2^b - 1)
    x' = S (Q(x) - Z)

Within [min, max] the error |x - x'| is at most S / 2; evenly spread errors have the root mean square S / sqrt(12).
TensorFlow Lite's int8 is the same with every whole number moved by -128; it widens the range so that it holds 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemaloop.errors import DataError

Reals = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ROUNDING = 1 / np.sqrt(12)  # root mean square of rounding alone, in steps


@dataclass(frozen=True)
class Affine:
    scale: float  # S, the step
    zero_point: int  # Z, what 0 becomes; outside 0..2^b - 1 where the range does not hold 0
    bits: int  # b

    @property
    def largest(self) -> int:
        return int(2**self.bits - 1)


def fit_range(low: float, high: float, bits: int = 8) -> Affine:
    """The quantisation of the range [low, high].

    Raises:
        DataError: the range is empty, or so narrow that it has no step.
    """
    scale = (high - low) / (2**bits - 1)
    if not (np.isfinite(low) and np.isfinite(high) and np.isfinite(scale) and scale > 0 and np.isfinite(low / scale)):
        raise DataError(f"quantisation: wanted a range that something varies over, got {low:g} to {high:g}")
    return Affine(scale, round(-low / scale), bits)


def quantise(values: Reals, affine: Affine) -> Integers:
    """Q(x), whole numbers in 0..2^b - 1; what lies outside the range becomes its end."""
    steps = np.round(values / affine.scale + affine.zero_point)
    return np.asarray(np.clip(steps, 0, affine.largest), np.int64)


def dequantise(integers: Integers, affine: Affine) -> Reals:
    """x' = S (q - Z)."""
    return np.asarray(affine.scale * (integers - affine.zero_point), np.float64)
