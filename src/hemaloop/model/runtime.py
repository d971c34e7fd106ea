"""Start TensorFlow: quiet, seeded and deterministic; and choose what it computes on, and how finely."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hemaloop.model.parameters import ALL


def start_tensorflow(seed: int) -> None:
    """Import TensorFlow (about 6 s) so that the same seed gives the same numbers, to the digit, on one machine.

    Call it before importing anything that imports Keras: its settings are read at import.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with held_stderr():
        import keras
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


@contextmanager
def held_stderr() -> Iterator[None]:
    """Keep what C++ code writes to file descriptor 2 until the block ends: shown if it fails, else dropped.

    TensorFlow's start-up lines come before its own log level is read, and would bury a stage's message.
    """
    with tempfile.TemporaryFile() as held:
        before = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(before, held.read())
            raise
        finally:
            os.dup2(before, 2)
            os.close(before)


def strategy_for(devices: str) -> Any:
    """Where a model is trained: "one" device, or "all": a copy on each GPU, or on each logical CPU where there is none.

    Every copy sees its share of a batch, and all learn from the sum of the gradients (tf.distribute.MirroredStrategy).
    With a single device "all" is the same as "one".
    """
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if devices == ALL and len(found) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in found])
    return tf.distribute.get_strategy()


@contextmanager
def computing_in(precision: str) -> Iterator[None]:
    """Layers that are made inside compute in this precision; their weights stay float32."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
