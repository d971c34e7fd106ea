from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mean_model import COLOURS, SIZE_PX, mean_model

from hemaloop.errors import DataError
from hemaloop.imaging.decode import encode_jpeg
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach

CARD = ModelMetadata(COLOURS, SIZE_PX)


def classifier(dtype: str, scale: float = 1.0) -> Classifier:
    return Classifier(attach(mean_model(dtype, scale), CARD))


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, SIZE_PX, SIZE_PX, 3), np.uint8)


@pytest.mark.parametrize(("dtype", "step"), [("float32", 0.001), ("uint8", 1), ("int8", 1)])
def test_each_kind_of_model_sees_levels_0_to_255(dtype: str, step: float) -> None:
    batch = pixels(5)
    found = classifier(dtype).probabilities(batch)
    assert (found.shape, found.dtype) == ((5, 3), np.float32)
    assert np.abs(found - batch.mean(axis=(1, 2))).max() <= step


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_models_own_scale_is_followed_and_levels_beyond_it_are_clipped(dtype: str) -> None:
    found = classifier(dtype, scale=0.5).probabilities(np.full((1, SIZE_PX, SIZE_PX, 3), (0, 90, 255), np.uint8))
    assert found[0] == pytest.approx([0, 90, 127.5], abs=0.5)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_a_batch_gives_the_very_answers_of_its_images_alone(dtype: str) -> None:
    model, batch = classifier(dtype), pixels(4)
    alone = np.concatenate([model.probabilities(batch[i : i + 1]) for i in range(4)])
    assert np.array_equal(model.probabilities(batch), alone)
    assert np.array_equal(classifier(dtype).probabilities(batch[::-1])[::-1], alone)


def test_threads_that_share_a_model_do_not_mix_their_answers() -> None:
    size_px = 128  # large enough that threads meet inside the model
    model = Classifier(attach(mean_model("float32", size_px=size_px), ModelMetadata(COLOURS, size_px)))
    batch = np.random.default_rng(3).integers(0, 256, (100, size_px, size_px, 3), np.uint8)
    alone = model.probabilities(batch)
    with ThreadPoolExecutor(4) as pool:
        shared = list(pool.map(lambda image: model.probabilities(image[np.newaxis])[0], batch))
    assert np.array_equal(np.array(shared), alone)


def test_an_image_is_answered_with_label_probabilities_and_time() -> None:
    image = np.full((50, 70, 3), (20, 30, 220), np.uint8)
    answer = classifier("uint8").classify(encode_jpeg(image, 95))
    assert answer.label == "blue"
    assert list(answer.probabilities) == list(COLOURS)
    assert answer.latency_ms > 0
    assert all(type(value) is float for value in answer.probabilities.values())


def test_no_images_give_no_answers() -> None:
    assert classifier("uint8").probabilities(pixels(0)).shape == (0, 3)


def test_an_unreadable_image_is_refused() -> None:
    with pytest.raises(DataError, match="not an image"):
        classifier("uint8").classify(b"a text")


@pytest.mark.parametrize("shape", [(SIZE_PX, SIZE_PX, 3), (1, 9, 9, 3), (1, SIZE_PX, SIZE_PX, 1)])
def test_pixels_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="model input"):
        classifier("uint8").probabilities(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("card", [ModelMetadata(("red", "green"), SIZE_PX), ModelMetadata(COLOURS, SIZE_PX + 1)])
def test_a_model_that_does_not_fit_its_card_is_refused(card: ModelMetadata) -> None:
    with pytest.raises(DataError, match="metadata say"):
        Classifier(attach(mean_model("uint8"), card))


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(DataError, match="LiteRT cannot load"):
        Classifier(attach(b"this is no flatbuffer at all", CARD))
