"""S1's second condition: the test images as a poor camera and a poor network would send them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hemaloop.imaging.decode import Image, decode
from hemaloop.imaging.degradations import degrade
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.preprocess import preprocess
from hemaloop.model.evaluation.figures import Answers
from hemaloop.model.evaluation.scoring import flat, score
from hemaloop.model.preparation import read_manifest
from hemaloop.model.prepared import TEST, PreparedImage

# The paper does not say what its "remote diagnostics" images went through. Chosen: a lens a little out of focus, a
# noisy sensor, a lamp of another colour, and then few bytes.
CHAIN = (("blur", 2), ("noise", 2), ("white_balance", 2), ("jpeg", 3))
_AT_ONCE = 64


def degraded_figures(folder: Path, params: Mapping[str, Any]) -> dict[str, float | None]:
    """The shipped file's figures on the degraded test images of a run's folder."""
    classes = tuple(params["classes"])
    images = [image for image in read_manifest(folder / "data" / "manifest.csv") if image.side == TEST]
    model = Classifier((folder / "models" / "model.tflite").read_bytes(), threads=1)
    answers = []
    for start in range(0, len(images), _AT_ONCE):
        some = images[start : start + _AT_ONCE]
        pixels = [_poor_input(folder, image, model, start + place) for place, image in enumerate(some)]
        answers.append(model.probabilities(np.stack(pixels)))
    labels = np.array([classes.index(image.label) for image in images])
    given = Answers(labels, np.concatenate(answers), tuple(image.group for image in images))
    evaluate = params["evaluate"]
    return flat(score(given, classes, evaluate["bootstrap_rounds"], evaluate["seed"]).figures)


def poor(image: Image, seed: int) -> Image:
    """An image after the whole chain."""
    rng = np.random.default_rng(seed)
    for kind, strength in CHAIN:
        image = degrade(image, kind, strength, rng)
    return image


def _poor_input(folder: Path, image: PreparedImage, model: Classifier, seed: int) -> Image:
    return preprocess(
        poor(decode((folder / image.image).read_bytes()), seed), model.metadata.preprocessing, image.scale
    )
