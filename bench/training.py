"""An epoch of fine-tuning MobileNetV2 0.35 at 128 px: ours, and Keras's `train_on_batch` with images varied in between.

Both see the same noise as images, on one core set, varied as params.yaml's defaults say.
"""

from typing import Any

import numpy as np

from bench.ratio import Ratio, compare
from hemaloop.model.augmentation import AugmentParams, augment
from hemaloop.model.parameters import TrainParams
from hemaloop.model.prepared import PreparedImage, Samples
from hemaloop.model.runtime import start_tensorflow

QUICK, FULL = 8, 40  # batches an epoch
SIZE_PX, CLASSES, BATCH = 128, 5, 32
GOAL = 0.8
PARAMS = TrainParams(
    seed=7, weights="random", alpha=0.35, batch_images=BATCH, head_epochs=1, head_learning_rate=0.003,
    epochs=1, learning_rate=0.0003, first_block=3, dropout=0.2, label_smoothing=0.05,
)  # fmt: skip


def run(quick: bool = False) -> list[Ratio]:
    start_tensorflow(seed=7)
    from hemaloop.model import fitting
    from hemaloop.model.networks import catalogue
    from hemaloop.model.networks.ends import CENTRED

    samples = _noise(BATCH * (QUICK if quick else FULL))
    examples = fitting.Examples(
        lambda positions, rng: augment(samples.take(positions), rng, AugmentParams()),
        samples.labels, lambda model: np.zeros((0, CLASSES), np.float32), samples.labels, np.ones(CLASSES, np.float32),
    )  # fmt: skip
    model = catalogue.build(PARAMS, SIZE_PX, CLASSES, CENTRED)
    fitting.freeze_below(model, PARAMS.first_block)
    plan = fitting.Plan("blocks", 1, PARAMS.learning_rate, BATCH, PARAMS.label_smoothing, PARAMS.seed)
    batches = len(samples) // BATCH
    fitting.prepare(model, plan, batches)
    step = fitting.step_of(model)

    def ours() -> None:
        for batch in fitting.batches_of(examples, plan, 1, batches):
            step(*batch)

    def keras_alone() -> None:
        for number in range(batches):
            _learn(model, examples, np.arange(number * BATCH, (number + 1) * BATCH))

    ours()  # what is compiled at first is no part of an epoch
    keras_alone()
    taken = compare(ours, keras_alone, rounds=3 if quick else 5)
    return [Ratio("an epoch of fine-tuning", *taken, "train_on_batch, images varied in between", GOAL)]


def _learn(model: Any, examples: Any, positions: "np.typing.NDArray[np.intp]") -> None:
    images = examples.inputs(positions, np.random.default_rng(int(positions[0])))
    labels = examples.labels[positions]
    model.train_on_batch(images, np.eye(CLASSES, dtype=np.float32)[labels], examples.class_weights[labels])


def _noise(images: int) -> Samples:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, SIZE_PX, SIZE_PX, 3)).astype(np.uint8)
    told = tuple(PreparedImage(f"{row:064x}", "", "", "train", "", "") for row in range(images))
    return Samples(pixels, np.arange(images), rng.integers(0, CLASSES, images), told, CLASSES)
