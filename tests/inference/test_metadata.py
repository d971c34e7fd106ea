import io
import zipfile

import pytest
from ai_edge_litert.interpreter import Interpreter
from mean_model import COLOURS, SIZE_PX, mean_model

from hemaloop.errors import DataError
from hemaloop.inference.metadata import ModelMetadata, attach, read_metadata
from hemaloop.inference.preprocess import StepSettings

CARD = ModelMetadata(COLOURS, SIZE_PX)


def test_a_model_keeps_its_card_and_stays_a_valid_tflite() -> None:
    model = attach(mean_model("uint8"), CARD)
    assert read_metadata(model) == CARD
    assert model.startswith(mean_model("uint8"))
    Interpreter(model_content=model).allocate_tensors()


def test_the_same_model_and_card_give_the_same_bytes() -> None:
    assert attach(mean_model("int8"), CARD) == attach(mean_model("int8"), CARD)


def test_a_model_with_a_card_takes_no_second_one() -> None:
    with pytest.raises(DataError, match="already"):
        attach(attach(mean_model("uint8"), CARD), CARD)


@pytest.mark.parametrize("model", [b"", b"no model", mean_model("uint8")])
def test_a_model_without_a_card_is_refused(model: bytes) -> None:
    with pytest.raises(DataError, match="no hemaloop metadata"):
        read_metadata(model)


def test_a_cut_model_is_refused() -> None:
    with pytest.raises(DataError):
        read_metadata(attach(mean_model("uint8"), CARD)[:-30])


@pytest.mark.parametrize(("classes", "size_px"), [((), 8), (("a", "a"), 8), (("a",), 0)])
def test_a_card_that_makes_no_sense_is_refused(classes: tuple[str, ...], size_px: int) -> None:
    with pytest.raises(DataError, match="model metadata"):
        ModelMetadata(classes, size_px)


def test_a_card_carries_the_steps() -> None:
    steps = (StepSettings("square"), StepSettings("gaussian", {"sigma_px": 2.0}))
    card = ModelMetadata(COLOURS, SIZE_PX, steps)
    assert read_metadata(attach(mean_model("uint8"), card)) == card


def test_a_card_of_before_there_were_steps_is_read_and_written_alike() -> None:
    """So released models still run, and a model with the default steps runs on devices of before."""
    old = io.BytesIO(mean_model("uint8"))
    with zipfile.ZipFile(old, "a") as archive:
        archive.writestr(
            zipfile.ZipInfo("hemaloop.json", (1980, 1, 1, 0, 0, 0)), b'{"classes":["red","green","blue"],"size_px":8}'
        )
    assert read_metadata(old.getvalue()) == CARD
    assert attach(mean_model("uint8"), CARD) == old.getvalue()


def test_a_card_with_a_step_that_this_code_does_not_know_is_refused() -> None:
    with pytest.raises(DataError, match="step 'sharpen': there is none"):
        ModelMetadata(COLOURS, SIZE_PX, (StepSettings("sharpen"),))
