"""How good the champion is on the test images of today, so that a candidate is compared like with like."""

import logging
from pathlib import Path

import numpy as np

from hemaloop.inference.classifier import Classifier
from hemaloop.registry.golden import image_paths, image_scales, read_answers
from hemaloop.registry.versions import CHAMPION, aliased, shipped_file

log = logging.getLogger(__name__)


def champion_macro_sensitivity(tracking_uri: str, folder: Path, classes: list[str]) -> float | None:
    """The champion's macro sensitivity on the test images of the clone `folder`; None where nothing compares.

    Macro sensitivity is the mean over classes of the share of a class's images that were recognised.
    """
    version = aliased(tracking_uri, CHAMPION)
    if version is None:
        return None
    classifier = Classifier(shipped_file(tracking_uri, version))
    if list(classifier.metadata.classes) != classes:
        log.warning("champion %d knows %s, not %s: nothing to compare", version, classifier.metadata.classes, classes)
        return None
    paths, scales = image_paths(folder), image_scales(folder)
    hits: dict[str, list[bool]] = {}
    for answer in read_answers(folder):
        predicted = classifier.classify(paths[answer.sha256].read_bytes(), scales[answer.sha256]).label
        hits.setdefault(answer.actual, []).append(predicted == answer.actual)
    return float(np.mean([np.mean(of_class) for of_class in hits.values()])) if hits else None
