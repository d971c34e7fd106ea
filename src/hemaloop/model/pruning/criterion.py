"""Which channels matter least, and how many stay. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hemaloop.model.parameters import UNIT

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

MULTIPLE = 8  # channels; int8 kernels compute this many at once


@dataclass(frozen=True)
class Activity:
    """How a unit's channels behave over images, as the layer that uses them sees them."""

    mean: Array  # (places * channels,)
    deviation: Array  # (places * channels,)


def contribution(kernel: Array, scale: Array, deviation: Array, channels: int) -> Array:
    """How much each channel varies the output of the layer that uses it, (channels,), 0 or more.

    sigma_c * ||w_c * s||_2: the channel's standard deviation times the norm of its weights in that layer, scaled as the
    batch normalisation behind it scales its outputs (s = gamma / sqrt(variance + epsilon)); over the places of a
    flattened map, the root of the sum of squares. It is the root of the expected squared change of the output when
    channel c is replaced by its mean.

    Args:
        kernel: (h, w, inputs, outputs) of a convolution, or (inputs, outputs); inputs = places * channels.
        scale: (outputs,).
        deviation: (inputs,).

    Source: after Luo et al. 2017, "ThiNet", arXiv:1707.06342 (a channel is judged by what its loss does to the next
    layer), with the mean kept as in the network trimming of Molchanov et al. 2017, arXiv:1611.06440.
    """
    scaled = (kernel * scale).reshape(-1, *kernel.shape[-2:])  # (taps, inputs, outputs)
    changes = deviation * np.sqrt(np.square(scaled).sum(axis=(0, 2)))
    return np.asarray(np.linalg.norm(changes.reshape(-1, channels), axis=0), np.float32)


def kept_channels(width: int, share: float) -> int:
    """How many of `width` channels stay: a multiple of 8, never more than there are, and at least 8."""
    wanted = round(width * (1 - share) / MULTIPLE) * MULTIPLE
    return min(width, max(MULTIPLE, wanted))


def counts(contributions: Sequence[Array], share: float, ranking: str) -> tuple[int, ...]:
    """How many channels of each unit stay when `share` of them goes.

    Within each unit the same share, or all ranked together: a contribution then counts as a part of its unit's
    (divided by their norm, as Molchanov et al. 2017, arXiv:1611.06440, section 2.2), so that the units that have most
    to spare lose most.
    """
    if ranking == UNIT or not contributions:
        return tuple(kept_channels(len(values), share) for values in contributions)
    parts = [values / max(float(np.linalg.norm(values)), 1e-12) for values in contributions]
    unit_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    order = np.argsort(np.concatenate(parts), kind="stable")
    removed = np.bincount(unit_of[order[: round(share * len(order))]], minlength=len(parts))
    return tuple(kept_channels(len(part), float(gone) / len(part)) for part, gone in zip(parts, removed, strict=True))


def keep(contributions: Array, count: int) -> Indices:
    """The `count` channels that contribute most, in their old order; of equals the first."""
    best = np.argsort(-contributions, kind="stable")[:count]
    return np.sort(best)
