"""Weights to start from are found, or the message says what to do."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hemaloop.errors import ConfigError

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
