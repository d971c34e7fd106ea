"""A temperature in the network's own last layer: calibrated probabilities that cost a device nothing."""

from typing import Any

import numpy as np

from hemaloop.model.evaluation.calibration import temperature
from hemaloop.model.prepared import Samples

LAST = "probabilities"  # every network's last layer, dense with a softmax

_AT_ONCE = 64  # images


def temper(model: Any, validation: Samples) -> float:
    """Divide the logits of a keras.Model by the temperature that its answers to the validation side ask for.

    Kernel and bias of the last layer are divided, in place: softmax(z / T), exactly, in every file that is converted
    from it. No answer changes.

    Returns:
        The temperature; above 1 the network was too sure, below 1 not sure enough.

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    answers = [np.asarray(model(batch.astype(np.float32), training=False)) for batch in validation.batches(_AT_ONCE)]
    found = temperature(np.concatenate(answers), validation.labels)
    layer = model.get_layer(LAST)
    layer.set_weights([weights / found for weights in layer.get_weights()])
    return found
