"""Ask a shipped file again about images as they come from a device, changed before they are prepared."""

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from hemaloop.errors import DataError
from hemaloop.imaging.decode import Image, decode
from hemaloop.inference.classifier import Classifier
from hemaloop.inference.preprocess import preprocess
from hemaloop.model.evaluation.conditions import Condition
from hemaloop.model.evaluation.figures import Labels, Probabilities


@dataclass(frozen=True)
class Subject:
    """An image as it was taken in."""

    sha256: str
    path: Path
    um_per_px: float | None  # where known


def choose(labels: Labels, groups: Sequence[str], count: int) -> Labels:
    """Positions of up to `count` images, always the same: classes take turns, and groups within each class."""
    turns: list[tuple[int, int, int]] = []
    seen: dict[tuple[int, str], int] = {}
    for place, (label, group) in enumerate(zip(labels.tolist(), groups, strict=True)):
        turn = seen[label, group] = seen.get((label, group), -1) + 1
        turns.append((label, turn, place))
    ranks: dict[int, int] = {}
    order = []
    for label, _, place in sorted(turns):
        ranks[label] = ranks.get(label, -1) + 1
        order.append((ranks[label], label, place))
    return np.sort(np.array([place for _, _, place in sorted(order)[:count]], np.intp))


def answer_under(
    conditions: Sequence[Condition],
    subjects: Sequence[Subject],
    models: Sequence[Classifier],
    seed: int,
    tell: Callable[[], None],
) -> Probabilities:
    """What the shipped file says to each image under each condition.

    Args:
        models: the same file, once for each thread that is to run.
        seed: with the image and the condition, decides what is drawn by chance; the number of threads does not.
        tell: called after each image.

    Returns:
        (conditions, n, classes).

    Raises:
        DataError: an image is not there or cannot be decoded.
    """
    free: SimpleQueue[Classifier] = SimpleQueue()
    for model in models:
        free.put(model)

    def ask(subject: Subject) -> Probabilities:
        model = free.get()
        try:
            return model.probabilities(_under(conditions, subject, model, seed))
        finally:
            free.put(model)
            tell()

    with ThreadPoolExecutor(len(models)) as threads:
        return np.stack(list(threads.map(ask, subjects)), axis=1)


def answer_images(images: Sequence[Image], model: Classifier) -> Probabilities:
    """What the shipped file says to decoded images of unknown scale: (n, classes)."""
    return model.probabilities(np.stack([preprocess(image, model.metadata.preprocessing) for image in images]))


def read_subject(subject: Subject) -> Image:
    """Raises: DataError: the image is not there or cannot be decoded."""
    try:
        return decode(subject.path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{subject.path} is not there: fetch the images with `dvc pull`") from None
    except DataError as error:
        raise DataError(f"{subject.path}: {error}: fetch it anew with `dvc pull`") from error


def _under(conditions: Sequence[Condition], subject: Subject, model: Classifier, seed: int) -> Image:
    """(conditions, S, S, 3): the image under each, as the model sees it."""
    image = read_subject(subject)
    prepared = []
    for condition in conditions:
        changed = condition.change(image, _chance(seed, subject, condition))
        um_per_px = None if subject.um_per_px is None else subject.um_per_px / condition.scale
        prepared.append(preprocess(changed, model.metadata.preprocessing, um_per_px))
    return np.stack(prepared)


def _chance(seed: int, subject: Subject, condition: Condition) -> np.random.Generator:
    named = zlib.crc32(f"{condition.kind}:{condition.name}".encode())
    return np.random.default_rng([seed, int(subject.sha256[:16], 16), named])
