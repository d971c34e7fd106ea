"""Where channels can be taken out of a network: what makes them, what passes them on, what uses them."""

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

MAKERS = (layers.Conv2D, layers.Dense)
PER_CHANNEL = (layers.BatchNormalization, layers.DepthwiseConv2D)  # weights for each channel, that go with it
POINTWISE = (
    layers.Activation, layers.AveragePooling2D, layers.Dropout, layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D, layers.LeakyReLU, layers.MaxPooling2D, layers.ReLU, layers.SpatialDropout2D,
    layers.ZeroPadding2D,
)  # fmt: skip
ACTIVATIONS = (layers.ReLU, layers.LeakyReLU)
# A linear layer's channels are a basis that was chosen freely, none of them off by itself; softmax mixes channels.
NO_ACTIVATION = ("linear", "softmax")


@dataclass(frozen=True)
class Unit:
    """Channels that one layer makes and one layer uses."""

    number: int  # counted along the network from 0; in MobileNetV2 the block: 0 the stem with the first, 17 Conv_1
    maker: str  # Conv2D or Dense
    between: tuple[str, ...]  # layers with weights per channel
    source: str  # the layer whose output the user sees
    user: str  # Conv2D or Dense
    norm: str | None  # the batch normalisation right behind the user
    width: int  # channels
    places: int  # that Flatten lays beside each other, each with all channels; else 1
    last: bool  # whether the user is the last layer, which makes the answer


def find_units(model: Any) -> tuple[Unit, ...]:
    """Every set of channels with a nonlinearity, one maker and one user, in the network's order.

    Where channels are added to others (a residual sum), joined or multiplied, none can go alone: such are no units.
    """
    users = _users(model)
    found = [unit for layer in model.layers if isinstance(layer, MAKERS) if (unit := _follow(layer, users))]
    return tuple(Unit(**(vars(unit) | {"number": number})) for number, unit in enumerate(found))


def _users(model: Any) -> dict[str, list[Any]]:
    """The layers that take each layer's output; an output of the model has none that could be changed."""
    tensors = {id(layer.output): layer.name for layer in model.layers}
    users: dict[str, list[Any]] = {layer.name: [] for layer in model.layers}
    for layer in model.layers:
        for tensor in keras.tree.flatten(layer.input):
            if id(tensor) in tensors and tensors[id(tensor)] != layer.name:
                users[tensors[id(tensor)]].append(layer)
    return users


def _follow(maker: Any, users: dict[str, list[Any]]) -> Unit | None:
    between: list[str] = []
    places, current, active = 1, maker, _activates(maker)
    while len(users[current.name]) == 1:
        (follower,) = users[current.name]
        if isinstance(follower, MAKERS):
            if not active or getattr(follower, "groups", 1) != 1 or getattr(maker, "groups", 1) != 1:
                return None
            norm, last = _norm_behind(follower, users), not users[follower.name]
            width = int(maker.output.shape[-1])
            return Unit(0, maker.name, tuple(between), current.name, follower.name, norm, width, places, last)
        if isinstance(follower, layers.Flatten):
            places *= math.prod(current.output.shape[1:-1])
        elif isinstance(follower, PER_CHANNEL) and getattr(follower, "depth_multiplier", 1) == 1:
            between.append(follower.name)
        elif not isinstance(follower, POINTWISE):
            return None
        active = active or _activates(follower)
        current = follower
    return None


def _norm_behind(layer: Any, users: dict[str, list[Any]]) -> str | None:
    following = users[layer.name]
    direct = len(following) == 1 and isinstance(following[0], layers.BatchNormalization) and not _activates(layer)
    return str(following[0].name) if direct else None


def _activates(layer: Any) -> bool:
    activation = getattr(layer, "activation", None)
    named = activation is not None and getattr(activation, "__name__", "") not in NO_ACTIVATION
    return named or isinstance(layer, ACTIVATIONS)
