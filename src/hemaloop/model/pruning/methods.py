"""Prune as params.yaml says, and train what is left again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from hemaloop.model.parameters import CHANNELS, NO_PRUNING, PruneParams
from hemaloop.model.prepared import Samples
from hemaloop.model.pruning.channels import Cut, Shares, remove_channels
from hemaloop.model.pruning.learner import Learner, Teacher
from hemaloop.model.pruning.magnitude import Masks, mask_smallest


@dataclass(frozen=True)
class Pruned:
    model: Any  # keras.Model; its parent's layers, by the same names
    cuts: tuple[Cut, ...] = ()  # of channels
    masks: Masks | None = None  # of single weights


def prune(parent: Any, training: Samples, params: PruneParams) -> Pruned:
    """The pruned network, before any further training; the parent stays as it is.

    Raises:
        ConfigError: the method has nothing to remove here.
    """
    if params.method == NO_PRUNING:
        return Pruned(parent)
    if params.method == CHANNELS:
        shares = Shares(params.channels, params.last_channels, params.ranking, params.keep_blocks)
        return Pruned(*remove_channels(parent, training, shares))
    model = keras.models.clone_model(parent)
    model.set_weights(parent.get_weights())
    return Pruned(model, masks=mask_smallest(model, params.sparsity))


def learner_of(pruned: Pruned, parent: Any, params: PruneParams) -> Callable[[Any], Any]:
    """What to fit in the pruned model's place: zeros are held, and the parent teaches where the parameters say so."""
    if pruned.masks is None and not params.distillation:
        return lambda model: model
    teacher = Teacher(parent, params.distillation, params.temperature) if params.distillation else None
    masks = pruned.masks.kept if pruned.masks else None
    return lambda model: Learner(model, masks, teacher)
