"""Our MobileNetV2 is Keras's, as long as nothing is removed."""

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


@pytest.mark.parametrize(("alpha", "size_px"), [(0.35, 96), (1.4, 35)])
def test_with_full_widths_it_is_the_published_network(alpha: float, size_px: int) -> None:
    import keras

    from hemaloop.model.networks import mobilenetv2

    shape = (size_px, size_px, 3)
    published = keras.applications.MobileNetV2(shape, alpha, include_top=False, weights=None, pooling="avg")
    rng = np.random.default_rng(0)
    for layer in published.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    ours = mobilenetv2.build(size_px, 5, alpha, mobilenetv2.full_widths(alpha))
    mobilenetv2.set_weights(ours, {layer.name: layer.get_weights() for layer in published.layers if layer.weights})
    features = keras.Model(ours.input, ours.get_layer(mobilenetv2.FEATURES).output)

    pixels = rng.uniform(0, 255, (2, size_px, size_px, 3)).astype(np.float32)
    wanted = published(pixels / 127.5 - 1, training=False).numpy()
    assert wanted.std() > 0.01
    np.testing.assert_allclose(features(pixels, training=False).numpy(), wanted, rtol=1e-4, atol=1e-4)


def test_widths_can_be_read_back() -> None:
    from hemaloop.model.networks import mobilenetv2

    widths = tuple(8 * (1 + block % 3) for block in range(16))
    assert mobilenetv2.widths_of(mobilenetv2.build(32, 3, 0.35, widths)) == widths


def test_a_layer_without_weights_is_an_error() -> None:
    from hemaloop.model.networks import mobilenetv2

    model = mobilenetv2.build(32, 3, 0.35, mobilenetv2.full_widths(0.35))
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    del weights["block_7_project"]
    with pytest.raises(KeyError, match="block_7_project"):
        mobilenetv2.set_weights(model, weights)
