"""Building what approvers look at and sign, and devices run."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from hemaloop.errors import DataError
from hemaloop.inference.classifier import Classifier
from hemaloop.protocol.bundle import Bundle, GoldenImage, Release, pack
from hemaloop.protocol.keys import NAME


def build_bundle(
    model: bytes,
    golden: Sequence[tuple[str, bytes]],
    version: int,
    dataset_revision: str,
    created_at: datetime,
    tolerance: float,
    latency_budget_ms: float,
    fallback: int | None,
    metrics: Mapping[str, float],
) -> bytes:
    """Run the shipped model over the golden images, and pack it with what it answered.

    Args:
        model: a .tflite with its metadata. golden: (name, encoded image) of at least one image.
        version: MLflow model version. dataset_revision: git commit.
        tolerance: largest difference of a probability that a device may find.
        latency_budget_ms: one image on the device, decoding included.
        fallback: the one older version that devices may be sent back to.

    Returns:
        The zip; the same arguments give the same bytes on the same machine.

    Raises:
        DataError: no golden images, a name that is no file name or there twice, or an image that cannot be read.
    """
    names = [name for name, _ in golden]
    if not names or len(set(names)) != len(names) or not all(NAME.fullmatch(name) for name in names):
        raise DataError(f"golden images: wanted at least one, with different file names, got {names}")
    classifier = Classifier(model)
    answers = tuple(_answer(classifier, name, data) for name, data in golden)
    release = Release(
        version, dataset_revision, created_at, answers, tolerance, latency_budget_ms, fallback, dict(metrics)
    )
    return pack(Bundle(release, model, dict(golden)))


def _answer(classifier: Classifier, name: str, data: bytes) -> GoldenImage:
    answer = classifier.classify(data)
    return GoldenImage(name, answer.label, tuple(answer.probabilities[label] for label in classifier.metadata.classes))
