"""Take expansion channels away: the model that is left is smaller in the file and faster at every step."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hemaloop.model.networks import mobilenetv2
from hemaloop.model.prepared import Samples

Array = npt.NDArray[np.float32]

MULTIPLE = 8  # channels; int8 kernels compute this many at once
MEASURED_AT_ONCE = 32
DEPTHWISE_OUTPUT, PROJECTION = "depthwise_relu", "project"


@dataclass(frozen=True)
class Activity:
    """How a block's expansion channels behave over images, after the depthwise activation."""

    mean: Array  # (channels,)
    deviation: Array  # (channels,)


@dataclass(frozen=True)
class Pruned:
    model: Any  # keras.Model, as `mobilenetv2.build` makes it
    widths_before: tuple[int, ...]
    widths: tuple[int, ...]


def prune(model: Any, alpha: float, training: Samples, share: float) -> Pruned:
    """Remove `share` of each block's expansion channels, those that matter least on the training images.

    What a removed channel gave on average is added to the block's output, so that only its variation is lost.
    """
    blocks = range(1, len(mobilenetv2.BLOCKS))
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    activities = measure(model, training)
    widths = mobilenetv2.widths_of(model)
    kept = tuple(
        keep(contribution(weights, block, activity), kept_channels(width, share))
        for block, activity, width in zip(blocks, activities, widths, strict=True)
    )
    for block, channels, activity in zip(blocks, kept, activities, strict=True):
        _cut(weights, block, channels, activity.mean)
    pruned_widths = tuple(len(channels) for channels in kept)
    return Pruned(_rebuild(model, alpha, pruned_widths, weights), widths, pruned_widths)


def kept_channels(width: int, share: float) -> int:
    """How many of `width` channels stay: a multiple of 8, never more than there are, and at least 8."""
    wanted = round(width * (1 - share) / MULTIPLE) * MULTIPLE
    return min(width, max(MULTIPLE, wanted))


def contribution(weights: dict[str, list[Array]], block: int, activity: Activity) -> Array:
    """How much each expansion channel varies the block's output, (channels,), 0 or more.

    sigma_c * ||w_c * gamma / s||_2: the channel's standard deviation times the norm of its weights in the projection,
    scaled as the batch normalisation behind it scales them. It is the root of the expected squared change of the
    output when channel c is replaced by its mean.

    Source: after Luo et al. 2017, "ThiNet", arXiv:1707.06342 (a channel is judged by what its loss does to the next
    layer), with the mean kept as in the network trimming of Molchanov et al. 2017, arXiv:1611.06440.
    """
    name = mobilenetv2.block_name(block)
    kernel = weights[f"{name}{PROJECTION}"][0][0, 0]  # (channels, outputs)
    gamma, _, _, variance = weights[f"{name}{PROJECTION}_BN"]
    norms = np.linalg.norm(kernel * _scale(gamma, variance), axis=1)
    return np.asarray(activity.deviation * norms, np.float32)


def keep(contributions: Array, count: int) -> npt.NDArray[np.intp]:
    """The `count` channels that contribute most, in their old order; of equals the first."""
    best = np.argsort(-contributions, kind="stable")[:count]
    return np.sort(best)


def measure(model: Any, training: Samples) -> list[Activity]:
    """Mean and standard deviation over images and places of each block's expansion channels."""
    blocks = range(1, len(mobilenetv2.BLOCKS))
    outputs = [model.get_layer(f"{mobilenetv2.block_name(block)}{DEPTHWISE_OUTPUT}").output for block in blocks]
    # The moments are part of the network, so that no activation map leaves it.
    moments = [keras.ops.mean(value, axis=(1, 2)) for output in outputs for value in (output, keras.ops.square(output))]
    probe = keras.Model(model.input, moments)
    probe.compile(jit_compile=False)
    sums = [np.zeros(moment.shape[1]) for moment in moments]
    for pixels in training.batches(MEASURED_AT_ONCE):
        full = np.resize(pixels, (MEASURED_AT_ONCE, *pixels.shape[1:])).astype(np.float32)
        for total, values in zip(sums, probe.predict_on_batch(full), strict=True):
            total += np.asarray(values[: len(pixels)], np.float64).sum(axis=0)
    means = [total / len(training) for total in sums]
    return [_activity(mean, square) for mean, square in zip(means[::2], means[1::2], strict=True)]


def _activity(mean: npt.NDArray[np.float64], square: npt.NDArray[np.float64]) -> Activity:
    variance = np.maximum(square - mean**2, 0)
    return Activity(mean.astype(np.float32), np.sqrt(variance).astype(np.float32))


def _cut(weights: dict[str, list[Array]], block: int, kept: npt.NDArray[np.intp], mean: Array) -> None:
    """Keep these channels in every layer of the block, and the mean of the others in the last normalisation."""
    name = mobilenetv2.block_name(block)
    kernel = weights[f"{name}{PROJECTION}"][0]
    removed = np.setdiff1d(np.arange(len(mean)), kept)
    gamma, beta, average, variance = weights[f"{name}{PROJECTION}_BN"]
    weights[f"{name}{PROJECTION}_BN"] = [gamma, beta, average - mean[removed] @ kernel[0, 0, removed], variance]
    weights[f"{name}{PROJECTION}"] = [kernel[:, :, kept]]
    weights[f"{name}expand"] = [weights[f"{name}expand"][0][..., kept]]
    weights[f"{name}depthwise"] = [weights[f"{name}depthwise"][0][:, :, kept]]
    for norm in (f"{name}expand_BN", f"{name}depthwise_BN"):
        weights[norm] = [values[kept] for values in weights[norm]]


def _scale(gamma: Array, variance: Array) -> Array:
    return np.asarray(gamma / np.sqrt(variance + mobilenetv2.EPSILON), np.float32)


def _rebuild(model: Any, alpha: float, widths: tuple[int, ...], weights: dict[str, list[Array]]) -> Any:
    classes, dropout = model.output.shape[-1], model.get_layer("dropout").rate
    smaller = mobilenetv2.build(model.input.shape[1], classes, alpha, widths, dropout)
    mobilenetv2.set_weights(smaller, weights)
    smaller.get_layer("probabilities").set_weights(weights["probabilities"])
    return smaller
