"""What approvers look at is what the shipped model answers."""

from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import pytest
from tiny_model import CLASSES, SIZE_PX, tiny_tflite

from hemaloop.errors import DataError
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.metadata import ModelMetadata, attach
from hemaloop.protocol.bundle import unpack
from hemaloop.release.bundle import build_bundle


def image(red: int, green: int, blue: int) -> bytes:
    """A PNG of one colour."""
    return bytes(cv2.imencode(".png", np.full((32, 32, 3), (blue, green, red), np.uint8))[1])


MODEL = attach(tiny_tflite(), ModelMetadata(CLASSES, SIZE_PX))
GOLDEN = [("red.png", image(200, 60, 60)), ("blue.png", image(60, 60, 200))]


def build(**changed: Any) -> bytes:
    wanted: dict[str, Any] = {
        "model": MODEL,
        "golden": GOLDEN,
        "version": 3,
        "dataset_revision": "a" * 40,
        "created_at": datetime(2026, 11, 1, tzinfo=UTC),
        "tolerance": 0.02,
        "latency_budget_ms": 500.0,
        "fallback": 2,
        "metrics": {"int8.macro_sensitivity": 0.9},
    }
    return build_bundle(**(wanted | changed))


def test_a_bundle_records_what_the_shipped_model_answers() -> None:
    found = unpack(build())

    assert found.model == MODEL
    assert found.golden == dict(GOLDEN)
    assert (found.release.version, found.release.fallback, found.release.tolerance) == (3, 2, 0.02)
    assert [(g.name, g.label) for g in found.release.golden] == [("red.png", CLASSES[0]), ("blue.png", CLASSES[2])]
    classifier = Classifier(found.model)
    for golden in found.release.golden:
        answer = classifier.classify(found.golden[golden.name])
        assert dict(zip(CLASSES, golden.probabilities, strict=True)) == answer.probabilities


def test_the_same_bundle_is_the_same_bytes() -> None:
    assert build() == build()


@pytest.mark.parametrize(
    "golden",
    [[], [GOLDEN[0], GOLDEN[0]], [("../red.png", GOLDEN[0][1])], [("text.png", b"no image")]],
    ids=["none", "twice", "a path", "no image"],
)
def test_golden_images_that_cannot_test_a_device_are_refused(golden: list[tuple[str, bytes]]) -> None:
    with pytest.raises(DataError):
        build(golden=golden)
