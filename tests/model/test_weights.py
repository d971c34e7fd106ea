"""Weights to start from are found, or the message says what to do."""

import dataclasses
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from some_params import PARAMS, STATISTICS

from hemaloop.errors import ConfigError
from hemaloop.model.prepared import Samples

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]
NAME = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def test_imagenet_is_found_in_keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from hemaloop.model.weights import pretrained

    published = keras.applications.MobileNetV2((224, 224, 3), 0.35, include_top=False, weights=None)
    (tmp_path / "models").mkdir()
    _save_as_published(published, tmp_path / "models" / NAME)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    found = pretrained("imagenet", 0.35)
    np.testing.assert_array_equal(found["block_3_expand"][0], published.get_layer("block_3_expand").get_weights()[0])
    by_path = pretrained(str(tmp_path / "models" / NAME), 0.35)
    np.testing.assert_array_equal(by_path["Conv_1"][0], found["Conv_1"][0])


def test_without_file_and_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    """In a process of its own: Keras reads KERAS_HOME when it is imported."""
    away = {"KERAS_HOME": str(tmp_path), "https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    script = "from hemaloop.model.weights import pretrained; pretrained('imagenet', 0.35)"
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | away, capture_output=True, text=True)
    assert re.search(rf"ConfigError: .*put {NAME} into the folder HEMALOOP_WEIGHTS, .*'random'", done.stderr)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    from hemaloop.model.weights import pretrained

    with pytest.raises(ConfigError, match=r"there is no file .*lost\.h5"):
        pretrained(str(tmp_path / "lost.h5"), 0.35)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    from hemaloop.model.weights import pretrained

    (tmp_path / "broken.h5").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"broken\.h5' do not fit MobileNetV2 of alpha 0\.35"):
        pretrained(str(tmp_path / "broken.h5"), 0.35)


def _save_as_published(model: Any, path: Path) -> None:
    """In the layout of the files that Keras publishes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [weight.path.encode() for weight in layer.weights]
            for weight, values in zip(layer.weights, layer.get_weights(), strict=True):
                group[weight.path] = values


def test_training_from_a_file_fits_the_head_first_and_keeps_the_backbone(
    tmp_path: Path, training: Samples, validation: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    """No epoch of fine-tuning: the file's weights, a dense head that has learned, and a word of the file."""
    import keras

    from hemaloop.model.training import train

    published = keras.applications.MobileNetV2((224, 224, 3), 0.35, include_top=False, weights=None)
    _save_as_published(published, tmp_path / "tuned.h5")
    params = dataclasses.replace(PARAMS, weights=str(tmp_path / "tuned.h5"), epochs=0, dense_units=8, dropout=0.0)
    with caplog.at_level("INFO"):
        model, curves = train(training, validation, 32, ("a", "b", "c"), params, statistics=STATISTICS)
    for layer in published.layers:
        if layer.weights:
            assert all(map(np.array_equal, layer.get_weights(), model.get_layer(layer.name).get_weights()))
    assert [epoch.phase for epoch in curves] == ["head"] * 3
    assert curves[-1].loss < curves[0].loss
    assert "weights of tuned.h5: not the file that Keras publishes for MobileNetV2 of alpha 0.35" in caplog.messages


def test_efficientnet_from_a_file_answers_as_the_published_network(tmp_path: Path) -> None:
    """Its normalisation is ImageNet's then, whatever the file holds and the statistics say."""
    import keras

    from hemaloop.model.networks import catalogue
    from hemaloop.model.weights import give_pretrained

    published = keras.applications.EfficientNetB0(include_top=False, weights=None, input_shape=(64, 64, 3))
    _save_as_published(published, tmp_path / "b0.h5")
    (norm,) = (layer for layer in published.layers if isinstance(layer, keras.layers.Normalization))
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    params = dataclasses.replace(PARAMS, network="efficientnetb0", weights=str(tmp_path / "b0.h5"))
    model = catalogue.build(params, 64, 3, STATISTICS)
    give_pretrained(model, params)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype(np.float32)
    after = keras.Model(published.layers[3].input, published.output)
    wanted = after((pixels / 255 - mean) / std, training=False).numpy().mean(axis=(1, 2))
    found = keras.Model(model.input, model.get_layer("features").output)(pixels, training=False).numpy()
    assert norm is published.layers[2]
    assert wanted.std() > 1e-6
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3 * wanted.std())


def test_weights_are_looked_for_where_the_environment_says_first(tmp_path: Path) -> None:
    from hemaloop.model.weights import find

    folder, home = tmp_path / "folder", tmp_path / "home"
    for place in (folder / "models", home / "models"):
        place.mkdir(parents=True)
        (place / NAME).touch()
    environ = {"KERAS_HOME": str(home), "HEMALOOP_WEIGHTS": str(folder)}
    assert find("imagenet", 0.35, "mobilenetv2", environ) == folder / "models" / NAME
    assert find("imagenet", 0.5, "mobilenetv2", environ) is None
    (folder / "models" / NAME).unlink()
    assert find("imagenet", 0.35, "mobilenetv2", environ) == home / "models" / NAME
    file = environ | {"HEMALOOP_WEIGHTS": str(home / "models" / NAME)}
    assert find("imagenet", 1.0, "nasnetmobile", file) == home / "models" / NAME
    with pytest.raises(ConfigError, match=r"HEMALOOP_WEIGHTS: there is no file or folder .*lost"):
        find("imagenet", 0.35, "mobilenetv2", environ | {"HEMALOOP_WEIGHTS": str(tmp_path / "lost")})
