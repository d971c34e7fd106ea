"""The same bytes give the same tensor: eagerly, in a tf.data pipeline, in stage prepare, and as the device runs it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import CLASSES, SIZE_PX, tiny_tflite

from hemaloop.config import parse_section
from hemaloop.errors import ConfigError
from hemaloop.imaging.decode import decode, encode_png
from hemaloop.imaging.smear import Slide, draw
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.inference.preprocess import Preprocessing, preprocess, read_steps
from hemaloop.inference.steps.catalogue import STEPS
from hemaloop.model.preparation import prepare
from hemaloop.model.prepared import PreparedImage, read_prepared
from hemaloop.model.preprocessing import PrepareParams

UM_PER_PX = 0.1
SYSTEMS = {
    "default": ["square", "resize"],
    "lab-kmeans": ["resize", "gaussian", "kmeans_mask", "lab_a"],
    "streaming": ["square", "resize", {"gaussian": {"sigma_px": 1.5}}, "edges"],
    "regions": ["square", "resize", "kmeans_regions"],
    "laboratories": ["nucleus_centre", {"scale": {"um_per_px": 1.6}}, "white_balance", "macenko"],
    "reinhard": [{"trim": {"bottom": 0.125, "right": 0.125}}, "nucleus_crop", "resize", "reinhard"],
}


@pytest.fixture(scope="module")
def encoded() -> list[bytes]:
    return [encode_png(draw(label, Slide.of(3), seed)) for label, seed in (("neutrophil", 1), ("lymphocyte", 2))]


@pytest.fixture(params=SYSTEMS, name="steps")
def chosen(request: pytest.FixtureRequest) -> Preprocessing:
    return Preprocessing(read_steps(SYSTEMS[request.param]), SIZE_PX)


def test_no_step_is_left_out_here() -> None:
    assert {step.name for steps in SYSTEMS.values() for step in read_steps(steps)} == set(STEPS)


def test_stage_and_device_see_what_preprocess_gives(tmp_path: Path, encoded: list[bytes], steps: Preprocessing) -> None:
    eager = np.array([preprocess(decode(data), steps, UM_PER_PX) for data in encoded])
    images = []
    for number, data in enumerate(encoded):
        (tmp_path / f"{number}.png").write_bytes(data)
        images.append(PreparedImage("", "a", "g", "train", "pi-1", "", str(UM_PER_PX), f"{number}.png"))
    prepare(images, tmp_path, tmp_path / "prepared", steps, "zero_one")
    np.testing.assert_array_equal(read_prepared(tmp_path / "prepared").pixels, eager)

    model = attach(tiny_tflite(), ModelMetadata(CLASSES, SIZE_PX, steps.steps))
    device = Classifier(model)
    np.testing.assert_array_equal([device.prepare(data, UM_PER_PX) for data in encoded], eager)
    answers = [list(device.classify(data, UM_PER_PX).probabilities.values()) for data in encoded]
    np.testing.assert_array_equal(answers, device.probabilities(eager))


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow")
def test_tf_data_sees_what_preprocess_gives(encoded: list[bytes], steps: Preprocessing) -> None:
    import tensorflow as tf

    def one(data: Any) -> Any:
        return tf.numpy_function(lambda each: preprocess(decode(each), steps, UM_PER_PX), [data], tf.uint8)

    found = tf.data.Dataset.from_tensor_slices(encoded).map(one, num_parallel_calls=2, deterministic=True)
    for data, pixels in zip(encoded, found.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(pixels, preprocess(decode(data), steps, UM_PER_PX))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": ["lab_a", "macenko"]}, "steps: step macenko: it needs colours"),
        ({"steps": [{"gaussian": {"sigma_px": 99}}]}, "steps: step gaussian: sigma_px"),
        ({"scaling": "half"}, "scaling: wanted one of minus_one_one, zero_one, mean_std"),
        ({"size_px": 16}, "size_px: wanted 32 to 512"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_section({"size_px": 64} | values, "params.yaml: prepare", PrepareParams)
