"""Eight bits are judged layer by layer, and what bears them badly stays finer."""

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given
from hypothesis import strategies as st
from lively import plain_model

from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.model.parameters import QuantiseParams
from hemaloop.model.prepared import Samples
from hemaloop.model.quantisation.finer import attempts, choose

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]
METADATA = ModelMetadata(("a", "b", "c"), 32)


@pytest.fixture(scope="module")
def fragile(tensorflow: None, training: Samples) -> Any:
    """A weight of each filter of `second` is huge, and meets an input that is always 0: eight bits lose the others."""
    return fitted(training, huge=50)


def fitted(training: Samples, huge: float) -> Any:
    """Random convolutions and a last layer that tells the training images apart."""
    import keras

    keras.utils.set_random_seed(7)
    model = plain_model()
    kernel, bias = model.get_layer("first").get_weights()
    bias[0] = -1000
    model.get_layer("first").set_weights([kernel, bias])
    kernel, bias = model.get_layer("second").get_weights()
    kernel[:, :, 0] = huge
    model.get_layer("second").set_weights([kernel, bias])
    pixels = training.take(np.arange(len(training))).astype(np.float32)
    features = keras.Model(model.input, model.get_layer("dense").output)(pixels).numpy()
    seen = np.c_[features, np.ones(len(features))]
    wanted = 6 * (np.eye(3)[training.labels] - 1 / 3)
    solved = np.linalg.solve(seen.T @ seen + 1e-3 * np.eye(seen.shape[1]), seen.T @ wanted)
    model.get_layer("probabilities").set_weights([solved[:-1], solved[-1]])
    assert (model(pixels).numpy().argmax(axis=1) == training.labels).all()
    return model


@pytest.fixture(scope="module")
def pixels(training: Samples) -> Any:
    return training.take(np.arange(len(training)))


@pytest.fixture(scope="module")
def layers(fragile: Any, pixels: Any) -> Any:
    from hemaloop.model.quantisation.layers import Layers

    return Layers(fragile, pixels)


def test_the_layer_that_eight_bits_spoil_is_named_first(layers: Any, pixels: Any) -> None:
    from hemaloop.model.quantisation.layers import worst

    layers.keep_float(layers.errors(pixels[:1])[:1])  # leaves nothing behind
    errors = layers.errors(pixels[::4])
    assert {"first", "second", "dense", "probabilities"} <= {error.layer for error in errors}
    first, *others = worst(errors)
    assert (first.layer, first.operation) == ("second", "CONV_2D")
    assert first.sqnr_db < 1
    assert first.rmse_over_scale > 10
    assert all(first.sqnr_db < error.sqnr_db for error in others)


def test_kept_finer_it_answers_as_the_float_model_and_still_takes_pixels(
    fragile: Any, layers: Any, pixels: Any
) -> None:
    from hemaloop.model.quantisation.conversion import to_int8
    from hemaloop.model.quantisation.layers import worst

    wanted = fragile(pixels.astype(np.float32), training=False).numpy()
    finer = layers.keep_float(worst(layers.errors(pixels[::4]))[:1])
    interpreter = Interpreter(model_content=finer)
    (given,) = interpreter.get_input_details()
    assert (given["dtype"], given["quantization"]) == (np.uint8, (1.0, 0))
    errors = [np.abs(answers(content, pixels) - wanted).max() for content in (to_int8(fragile, pixels), finer)]
    assert errors[1] < 0.05 < 0.2 < errors[0]


def test_the_shipped_file_keeps_no_more_layers_finer_than_it_must(fragile: Any, pixels: Any, training: Samples) -> None:
    from hemaloop.model.quantisation.conversion import to_float
    from hemaloop.model.quantisation.shipping import ship

    floating = to_float(fragile)
    shipped = ship(fragile, floating, pixels, training, METADATA, QuantiseParams("int8", 24, 0.1, 4))
    assert [attempt.layers for attempt in shipped.tried] == [0, 1]
    assert shipped.tried[0].drop > 0.1 >= shipped.drop
    assert ([error.layer for error in shipped.kept_finer], shipped.within) == (["second"], True)
    none = ship(fragile, floating, pixels, training, METADATA, QuantiseParams("int8", 24, 0.1, 0))
    assert (none.kept_finer, none.within, none.drop) == ((), False, shipped.tried[0].drop)


@pytest.mark.parametrize(("form", "huge"), [("int16x8", 0), ("float16", 50)])
def test_other_forms_are_smaller_than_float_take_float_pixels_and_answer_alike(
    training: Samples, pixels: Any, form: str, huge: float
) -> None:
    """The weights of int16x8 have eight bits, so that it would not bear what float16 bears."""
    from hemaloop.model.quantisation.conversion import convert, to_float

    model = fitted(training, huge)
    content, floating = convert(model, form, pixels), to_float(model)
    (given,) = Interpreter(model_content=content).get_input_details()
    assert given["dtype"] == np.float32
    assert len(content) < 0.7 * len(floating)
    assert np.abs(answers(content, pixels) - answers(floating, pixels)).max() < 0.05


@given(drops=st.lists(st.floats(-0.1, 1), min_size=1, max_size=20), allowed=st.floats(0, 0.5), data=st.data())
def test_the_coarsest_good_file_ships_or_else_the_one_that_loses_least(
    drops: list[float], allowed: float, data: st.DataObject
) -> None:
    most = data.draw(st.integers(0, len(drops) - 1))
    tried = attempts(most, lambda count: bytes([count]), lambda content: drops[content[0]], allowed)
    chosen = choose(tried, allowed)
    assert all(attempt.layers <= most for attempt in tried)
    assert all(attempt.drop > allowed for attempt in tried[:-1])
    assert chosen.drop == min(attempt.drop for attempt in tried) or chosen.drop <= allowed
    if chosen.drop > allowed:
        assert tried[-1].layers == most


def answers(content: bytes, pixels: Any) -> Any:
    return Classifier(attach(content, METADATA)).probabilities(pixels)
