"""Every network of the catalogue takes pixels, gives features and probabilities, and is what its paper says."""

import dataclasses

import numpy as np
import pytest
from some_params import PARAMS, STATISTICS

from hemaloop.config import parse_section
from hemaloop.errors import ConfigError
from hemaloop.model.parameters import FROM_SCRATCH, TRANSFERRED, TrainParams

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


@pytest.mark.parametrize("network", [*FROM_SCRATCH, *TRANSFERRED])
def test_a_network_begins_with_pixels_and_ends_with_features_and_probabilities(network: str) -> None:
    from hemaloop.model.networks import catalogue

    model = catalogue.build(dataclasses.replace(PARAMS, network=network), 32, 5, STATISTICS)
    assert (model.name, model.input.shape) == (network, (None, 32, 32, 3))
    assert len(model.get_layer("features").output.shape) == 2
    assert (model.layers[-1].name, model.output.shape) == ("probabilities", (None, 5))
    blocks = {catalogue.learns(model, layer.name, 17) for layer in model.layers if layer.weights}
    assert blocks == ({True} if network in FROM_SCRATCH else {True, False})
    assert all(catalogue.learns(model, layer.name, 0) for layer in model.layers)


def test_s1_has_the_size_that_its_paper_reports() -> None:
    """48 MB of float32 weights, within a tenth: that is how its open choices were made."""
    from hemaloop.model.networks import catalogue

    model = catalogue.build(dataclasses.replace(PARAMS, network="wbc_cnn"), 224, 5, STATISTICS)
    assert 4 * model.count_params() / 2**20 == pytest.approx(48, rel=0.1)


@pytest.mark.parametrize("scaling", ["minus_one_one", "zero_one", "mean_std"])
@pytest.mark.parametrize("network", ["wbc_cnn", "efficientnetb0"])
def test_pixels_are_scaled_once_as_asked(network: str, scaling: str) -> None:
    """EfficientNetB0 scales by itself: what its first convolution sees must be scaled no further."""
    import keras

    from hemaloop.model.networks import catalogue

    statistics = dataclasses.replace(STATISTICS, scaling=scaling)
    model = catalogue.build(dataclasses.replace(PARAMS, network=network), 32, 5, statistics)
    before = model.layers[[isinstance(layer, keras.layers.Conv2D) for layer in model.layers].index(True)].input
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    wanted = {
        "minus_one_one": pixels / 127.5 - 1,
        "zero_one": pixels / 255,
        "mean_std": (pixels - STATISTICS.mean) / STATISTICS.std,
    }[scaling]
    seen = keras.Model(model.input, before)(pixels, training=False).numpy()[:, :32, :32]
    np.testing.assert_allclose(seen, wanted, rtol=1e-4, atol=1e-4)


def test_a_dense_head_stands_on_the_pooled_features_and_survives_other_widths() -> None:
    from hemaloop.model.networks import catalogue, mobilenetv2

    model = catalogue.build(dataclasses.replace(PARAMS, dense_units=24), 32, 3, STATISTICS)
    assert catalogue.backbone_end(model) == "pooled"
    assert model.get_layer("features").output.shape == (None, 24)
    widths = tuple(8 * (1 + block % 3) for block in range(16))
    narrow = mobilenetv2.with_widths(model, 0.35, widths)
    assert mobilenetv2.widths_of(narrow) == widths
    same = mobilenetv2.with_widths(model, 0.35, mobilenetv2.widths_of(model))
    same.set_weights(model.get_weights())
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(same(pixels, training=False), model(pixels, training=False))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("network", "resnet50", "network: wanted mobilenetv2"),
        ("network", "wbc_cnn", "weights: there are none for wbc_cnn: set 'random'"),
        ("schedule", "step", "schedule: wanted cosine"),
        ("precision", "float16", "precision: wanted float32"),
        ("devices", "two", r"devices: wanted one \| all"),
        ("l2", -0.1, "l2: wanted 0 or more"),
        ("patience", -1, "patience: wanted 0 or more"),
    ],
)
def test_a_choice_that_is_not_there_is_named(key: str, value: object, told: str) -> None:
    good = dataclasses.asdict(PARAMS) | {"weights": "imagenet"}
    with pytest.raises(ConfigError, match=told):
        parse_section(good | {key: value}, "params.yaml: train", TrainParams)
