"""The temperature is carried by the network itself, and changes how sure it is and nothing else."""

import numpy as np
import pytest
from lively import plain_model

from hemaloop.model.evaluation.calibration import scaled
from hemaloop.model.prepared import Samples
from hemaloop.model.tempering import LAST, temper

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


def test_tempering_divides_the_logits_and_changes_no_answer(validation: Samples) -> None:
    model = plain_model()
    layer = model.get_layer(LAST)
    layer.set_weights([weights * 20 for weights in layer.get_weights()])  # far too sure
    pixels = validation.take(np.arange(len(validation))).astype(np.float32)
    before = np.asarray(model(pixels, training=False))
    found = temper(model, validation)
    after = np.asarray(model(pixels, training=False))
    assert found > 2
    assert after == pytest.approx(scaled(before, found), abs=1e-4)
    assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))
