"""What is shipped is integer throughout, smaller and faster, and answers like its parent."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from lively import lively_model

from hemaloop.errors import DataError
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.model.evaluation.latency import compare
from hemaloop.model.prepared import Samples

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]
SIZE_PX = 96


@pytest.fixture(scope="module")
def model(pixels: Any) -> Any:
    """At 96 px: at 32 px the last blocks see a single place, and are hardly used."""
    return lively_model(pixels)


@pytest.fixture(scope="module")
def pixels() -> Any:
    """Neither black nor white anywhere; each image has a colour and a coarse pattern of its own."""
    coarse = np.random.default_rng(0).integers(10, 200, (12, 6, 6, 3)).astype(np.uint8)
    return coarse.repeat(SIZE_PX // 6, axis=1).repeat(SIZE_PX // 6, axis=2)


@pytest.fixture(scope="module")
def shipped(model: Any, pixels: Any) -> bytes:
    from hemaloop.model.quantisation.conversion import to_int8

    return to_int8(model, pixels)


def test_every_tensor_that_is_computed_is_an_integer(shipped: bytes) -> None:
    interpreter = Interpreter(model_content=shipped)
    interpreter.allocate_tensors()
    assert {np.dtype(tensor["dtype"]) for tensor in interpreter.get_tensor_details()} <= {
        np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.int32),
    }  # fmt: skip


def test_input_is_the_pixel_itself_even_if_no_calibration_image_is_black_or_white(shipped: bytes) -> None:
    interpreter = Interpreter(model_content=shipped)
    (given,), (answered,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["dtype"], list(given["shape"])) == (np.uint8, [1, SIZE_PX, SIZE_PX, 3])
    assert given["quantization"] == (1.0, 0)
    assert (answered["dtype"], list(answered["shape"])) == (np.uint8, [1, 3])


def test_the_files_answer_like_the_model(model: Any, pixels: Any, shipped: bytes) -> None:
    from hemaloop.model.quantisation.conversion import to_float

    wanted = model(pixels.astype(np.float32), training=False).numpy()
    assert wanted.std(axis=0).max() > 0.05
    metadata = ModelMetadata(("a", "b", "c"), SIZE_PX)
    floating = Classifier(attach(to_float(model), metadata)).probabilities(pixels)
    np.testing.assert_allclose(floating, wanted, atol=1e-5)
    integer = Classifier(attach(shipped, metadata)).probabilities(pixels)
    # Sixteen blocks of random weights magnify what rounding does; trained ones do not (the stages' figures show it).
    assert np.abs(integer - wanted).mean() < 0.7 * np.abs(wanted - wanted.mean(axis=0)).mean()


def test_the_same_model_gives_the_same_bytes(model: Any, pixels: Any, shipped: bytes) -> None:
    from hemaloop.model.quantisation.conversion import to_int8

    assert to_int8(model, pixels) == shipped


def test_pruned_is_smaller_and_faster_than_its_parent(model: Any, pixels: Any) -> None:
    from hemaloop.model.networks.mobilenetv2 import build, full_widths
    from hemaloop.model.pruning.criterion import kept_channels
    from hemaloop.model.quantisation.conversion import to_float

    fewer = build(SIZE_PX, 3, 0.35, [kept_channels(width, 0.6) for width in full_widths(0.35)])
    files = {"parent": to_float(model), "pruned": to_float(fewer)}
    metadata = ModelMetadata(("a", "b", "c"), SIZE_PX)
    classifiers = {name: Classifier(attach(content, metadata)) for name, content in files.items()}
    calls = {name: partial(classifier.probabilities, pixels[:1]) for name, classifier in classifiers.items()}
    times = compare(60, calls)
    assert len(files["pruned"]) < 0.8 * len(files["parent"])
    assert times["pruned"] < 0.9 * times["parent"]


def test_calibration_sees_every_class_of_the_training_side(training: Samples) -> None:
    from hemaloop.model.quantisation.conversion import choose_calibration

    chosen = choose_calibration(training, 3)
    assert sorted(int(image.mean(axis=(0, 1)).argmax()) for image in chosen) == [0, 1, 2]
    assert len(choose_calibration(training, 1000)) == len(training)


def test_quantising_without_images_is_refused(model: Any, pixels: Any) -> None:
    from hemaloop.model.quantisation.conversion import to_int8

    with pytest.raises(DataError, match="needs training images"):
        to_int8(model, pixels[:0])
