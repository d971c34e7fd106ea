"""Set the smallest weights to zero, as Mahale et al. 2025 (JISEM 10(10s)) do: the file keeps its size and its speed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
KERNEL = "kernel"  # part of the name of every weight that multiplies inputs; biases and statistics stay as they are


@dataclass(frozen=True)
class Masks:
    """Which weights stay."""

    theta: float  # weights with |w| < theta are removed
    pruned: int  # weights that are zero
    total: int
    kept: dict[str, npt.NDArray[np.bool_]]  # path of the variable -> its mask

    @property
    def sparsity(self) -> float:
        return self.pruned / self.total


def threshold(magnitudes: Array, sparsity: float) -> float:
    """The theta that removes `sparsity` of the weights, or where some are equal as many as are below it.

    Args:
        magnitudes: |w| of all weights, (n,), n >= 1.
        sparsity: S = pruned / total, 0 up to 1.
    """
    count = round(sparsity * len(magnitudes))
    if count >= len(magnitudes):
        return float("inf")
    return float(np.partition(magnitudes, count)[count])


def mask_smallest(model: Any, sparsity: float) -> Masks:
    """Set the weights below theta to zero, one theta for the whole network; the model is changed."""
    kernels = [variable for variable in model.weights if KERNEL in variable.name]
    values = [variable.numpy() for variable in kernels]
    theta = threshold(np.abs(np.concatenate([value.ravel() for value in values])), sparsity)
    kept = {}
    for variable, value in zip(kernels, values, strict=True):
        kept[variable.path] = (np.abs(value) >= theta) & (value != 0)
        variable.assign(np.where(kept[variable.path], value, np.float32(0)))
    total = sum(value.size for value in values)
    return Masks(theta, total - sum(int(mask.sum()) for mask in kept.values()), total, kept)
