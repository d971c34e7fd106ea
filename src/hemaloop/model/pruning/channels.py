"""Take channels away: the network that is left is smaller in the file and faster at every step."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from hemaloop.errors import ConfigError
from hemaloop.model.prepared import Samples
from hemaloop.model.pruning.activity import measure
from hemaloop.model.pruning.criterion import Activity, Array, Indices, contribution, counts, keep
from hemaloop.model.pruning.units import Unit, find_units

Weights = dict[str, list[Array]]


@dataclass(frozen=True)
class Shares:
    """How much goes, and where from."""

    channels: float  # of the units', but for the last one's
    last_channels: float  # of what the last layer sees
    ranking: str  # unit or network
    kept_units: tuple[int, ...] = ()  # numbers of those left whole


@dataclass(frozen=True)
class Cut:
    """One layer's channels."""

    layer: str
    before: int
    after: int


def remove_channels(model: Any, training: Samples, shares: Shares) -> tuple[Any, tuple[Cut, ...]]:
    """A smaller network without the channels that matter least on the training images, and what was cut.

    What a removed channel gave on average is added to the output of the layer that used it, so that only its variation
    is lost (and, where a 3x3 kernel reaches over the border, a little of the mean).

    Raises:
        ConfigError: no channel of this network can go without another.
    """
    units = find_units(model)
    if not units:
        raise ConfigError("prune.method: channels: this network has none that can go alone: use magnitude, or none")
    activities = measure(model, units, training)
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    kept = _choose(model, units, activities, weights, shares)
    for unit, channels, activity in zip(units, kept, activities, strict=True):
        if len(channels) < unit.width:
            _cut(weights, unit, channels, activity.mean)
    cuts = tuple(Cut(unit.maker, unit.width, len(channels)) for unit, channels in zip(units, kept, strict=True))
    return _rebuild(model, cuts, weights), cuts


def _choose(
    model: Any, units: Sequence[Unit], activities: Sequence[Activity], weights: Weights, shares: Shares
) -> list[Indices]:
    """Which channels of each unit stay."""
    contributions = [
        contribution(weights[unit.user][0], _scale(model, unit, weights), activity.deviation, unit.width)
        for unit, activity in zip(units, activities, strict=True)
    ]
    inner = [unit.number for unit in units if not unit.last and unit.number not in shares.kept_units]
    last = [unit.number for unit in units if unit.last and unit.number not in shares.kept_units]
    stay = [unit.width for unit in units]
    for numbers, share in ((inner, shares.channels), (last, shares.last_channels)):
        found = counts([contributions[number] for number in numbers], share, shares.ranking)
        for number, count in zip(numbers, found, strict=True):
            stay[number] = count
    return [keep(values, count) for values, count in zip(contributions, stay, strict=True)]


def _scale(model: Any, unit: Unit, weights: Weights) -> Array:
    """What the batch normalisation behind the user multiplies each of its outputs by."""
    outputs = weights[unit.user][0].shape[-1]
    if unit.norm is None:
        return np.ones(outputs, np.float32)
    norm = model.get_layer(unit.norm)
    gamma = weights[unit.norm][0] if norm.scale else np.ones(outputs, np.float32)
    return np.asarray(gamma / np.sqrt(weights[unit.norm][-1] + norm.epsilon), np.float32)


def _cut(weights: Weights, unit: Unit, kept: Indices, mean: Array) -> None:
    """Keep these channels in the maker, on the way and in the user, and the mean of the others behind the user."""
    weights[unit.maker] = [values[..., kept] for values in weights[unit.maker]]
    for name in unit.between:
        # A depthwise kernel is (h, w, channels, 1); biases and statistics are (channels,).
        weights[name] = [values[:, :, kept] if values.ndim == 4 else values[kept] for values in weights[name]]
    inputs = (np.arange(unit.places)[:, np.newaxis] * unit.width + kept).ravel()
    kernel, *bias = weights[unit.user]
    removed = np.setdiff1d(np.arange(kernel.shape[-2]), inputs)
    taps = kernel.reshape(-1, *kernel.shape[-2:]).sum(axis=0)  # (inputs, outputs)
    lost = mean[removed] @ taps[removed]
    if unit.norm is not None:
        *others, average, variance = weights[unit.norm]
        weights[unit.norm] = [*others, average - lost, variance]
    elif bias:
        bias = [bias[0] + lost]
    weights[unit.user] = [kernel[..., inputs, :], *bias]


def _rebuild(model: Any, cuts: Sequence[Cut], weights: Weights) -> Any:
    """The same network with fewer channels in the makers; every other layer takes its shape from what it is given."""
    sizes = {cut.layer: cut.after for cut in cuts}

    def resized(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in sizes:
            config["filters" if isinstance(layer, keras.layers.Conv2D) else "units"] = sizes[layer.name]
        return layer.__class__.from_config(config)

    smaller = keras.models.clone_model(model, clone_function=resized)
    for layer in smaller.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])
    return smaller
