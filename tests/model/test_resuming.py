"""Killed anywhere, training ends as if it had not been; on several devices or in half precision it learns the same."""

import csv
import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from some_params import PARAMS, STATISTICS

from hemaloop.model.checkpoints import Checkpoints, State, fingerprint
from hemaloop.model.prepared import INDEX, PIXELS, PreparedImage, Samples, write_rows, write_statistics
from hemaloop.stages.train import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]
CLASSES = ("reddish", "greenish", "bluish")


class Killed(BaseException):
    """In the place of a SIGKILL, where each of many moments is tried."""


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_ended_after_any_epoch_it_goes_on_to_the_same_numbers(tmp_path: Path, schedule: str) -> None:
    wanted, weights = _fit(schedule, None)
    checkpoints = Checkpoints(tmp_path, "a")
    for _ in range(3):
        with pytest.raises(Killed):
            _fit(schedule, _dying(checkpoints))
    curves, found = _fit(schedule, checkpoints)
    assert curves == wanted
    assert all(map(np.array_equal, found, weights))


def test_a_checkpoint_is_read_as_it_was_written_and_a_broken_or_foreign_one_never(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = tuple(rng.normal(size=(3, number)).astype(np.float32) for number in range(12))
    state = State(arrays, (np.array(3, np.int64),), arrays[:2], (0.1, 1 / 3), ({"loss": 0.1 + 0.2},), 1.5)
    ours = Checkpoints(tmp_path, "ours")
    assert ours.load("head") is None
    ours.save("head", state)
    found = ours.load("head")
    assert found is not None
    assert (found.losses, found.curves, found.seconds) == (state.losses, state.curves, state.seconds)
    assert all(map(np.array_equal, found.variables, arrays))
    assert found.optimiser[0].dtype == np.int64
    assert Checkpoints(tmp_path, "theirs").load("head") is None
    (tmp_path / "ours-head.npz").write_bytes(b"cut short")
    assert ours.load("head") is None
    Checkpoints(tmp_path, "theirs").forget_others()
    assert list(tmp_path.iterdir()) == []


def test_another_image_label_or_setting_is_another_fingerprint(training: Samples, validation: Samples) -> None:
    kept = fingerprint((training, validation), PARAMS)
    pixels = training.pixels.copy()
    pixels[3, 2, 1, 0] ^= 1
    labels = np.roll(training.labels, 1)
    others = [
        ((dataclasses.replace(training, pixels=pixels), validation), PARAMS),
        ((dataclasses.replace(training, labels=labels), validation), PARAMS),
        ((training, training), PARAMS),
        ((training, validation), dataclasses.replace(PARAMS, dropout=0.25)),
    ]
    assert fingerprint((training, validation), PARAMS) == kept
    assert len({kept, *(fingerprint(sides, params) for sides, params in others)}) == 5


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3.15 saving, NumPy 2.4
def test_killed_the_stage_goes_on_to_the_digit_and_leaves_no_checkpoint(
    tmp_path: Path,
    training: Samples,
    validation: Samples,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """SIGKILL amid its epochs; the same in a folder of its own is never killed."""
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    for folder in (killed, unbroken):
        _make_folder(folder, training, validation)
    process = subprocess.Popen([sys.executable, "-m", "hemaloop.stages.train"], cwd=killed, stdout=subprocess.DEVNULL)
    saved = killed / "models" / "checkpoints" / "train"
    _wait(lambda: len(list(saved.glob("*-blocks.npz"))) == 1)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / "models" / "trained.keras").exists()

    with caplog.at_level("INFO"):
        for folder in (killed, unbroken):
            monkeypatch.chdir(folder)
            main()
    assert len([line for line in caplog.messages if "blocks: goes on after epoch" in line]) == 1
    assert _results(killed) == _results(unbroken)
    assert list(saved.iterdir()) == []


def test_two_devices_learn_what_one_does() -> None:
    script = (
        "from hemaloop.model.runtime import start_tensorflow; start_tensorflow(7);"
        "import tensorflow as tf; cpu = tf.config.list_physical_devices('CPU');"
        "tf.config.set_logical_device_configuration(cpu[0], [tf.config.LogicalDeviceConfiguration()] * 2);"
        "import test_resuming; test_resuming.compare_devices()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def compare_devices() -> None:
    """In a process whose CPU counts as two."""
    import keras
    from conftest import some_samples

    from hemaloop.model.runtime import strategy_for
    from hemaloop.model.training import train

    assert strategy_for("all").num_replicas_in_sync == 2
    params = dataclasses.replace(PARAMS, network="baseline_cnn", epochs=2, dropout=0.0, learning_rate=0.001)
    sides = some_samples(8, 1), some_samples(4, 2)
    fitted = []
    for devices in ("one", "all"):
        keras.utils.set_random_seed(5)
        chosen = dataclasses.replace(params, devices=devices)
        fitted.append(train(*sides, 32, CLASSES, chosen, statistics=STATISTICS))
    alone, together = fitted
    for one, both in zip(alone[1], together[1], strict=True):
        np.testing.assert_allclose(
            [one.loss, one.val_loss, one.val_accuracy], [both.loss, both.val_loss, both.val_accuracy], rtol=2e-3
        )
    assert alone[1][0].loss != alone[1][1].loss
    assert together[0].dtype_policy.name == "float32"


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_what_was_trained_in_half_precision_is_left_in_float32(
    training: Samples, validation: Samples, precision: str
) -> None:
    import keras

    from hemaloop.model.fitting import predict
    from hemaloop.model.training import train

    params = dataclasses.replace(PARAMS, network="wbc_cnn", precision=precision, epochs=3, learning_rate=0.003)
    model, curves = train(training, validation, 32, CLASSES, params, statistics=STATISTICS)
    assert curves[-1].loss < curves[0].loss
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert predict(model, validation).dtype == np.float32
    right = np.mean(predict(model, validation).argmax(axis=1) == validation.labels)
    assert right == pytest.approx(max(curves, key=lambda epoch: -epoch.val_loss).val_accuracy, abs=0.1)


def _fit(schedule: str, checkpoints: Checkpoints | None) -> tuple[list[Any], list[Any]]:
    """Six epochs of a small head with dropout, whose random numbers must go on too."""
    import keras

    from hemaloop.model.fitting import Examples, Plan, Session, fit

    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 3, 40)
    keras.utils.set_random_seed(5)
    layers = [keras.Input((6,)), keras.layers.Dropout(0.4), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential(layers)
    examples = Examples(
        lambda positions, noise: inputs[positions] + noise.normal(size=(len(positions), 6)).astype(np.float32),
        labels, lambda fitted: np.asarray(fitted(inputs, training=False)), labels, np.ones(3, np.float32),
    )  # fmt: skip
    plan = Plan("head", 6, 0.05, 16, 0.0, seed=1, schedule=schedule)
    return fit(model, examples, plan, Session(checkpoints)), model.get_weights()


def _dying(checkpoints: Checkpoints) -> Any:
    """Checkpoints whose second write is never reached."""

    class Dying(Checkpoints):
        def save(self, phase: str, state: State) -> None:
            if (self.folder / "once").exists():
                (self.folder / "once").unlink()
                raise Killed
            super().save(phase, state)
            (self.folder / "once").touch()

    return Dying(checkpoints.folder, checkpoints.fingerprint)


def _make_folder(folder: Path, training: Samples, validation: Samples) -> None:
    """What stage `prepare` leaves, and parameters of a training in two phases."""
    prepared = folder / "data" / "prepared"
    prepared.mkdir(parents=True)
    np.save(prepared / PIXELS, np.concatenate([training.pixels, validation.pixels]))
    told = [*training.images, *(dataclasses.replace(image, side="validation") for image in validation.images)]
    write_rows(prepared / INDEX, told, PreparedImage)
    write_statistics(prepared / "statistics.json", STATISTICS)
    params = dataclasses.replace(PARAMS, network="wbc_cnn", epochs=20, dropout=0.5)
    sections = {"classes": list(CLASSES), "train": dataclasses.asdict(params), "augment": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(sections))


def _wait(holds: Callable[[], bool], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "the stage never wrote a checkpoint"
        time.sleep(0.02)


def _results(folder: Path) -> tuple[list[dict[str, str]], dict[str, Any], list[bytes]]:
    import keras

    with (folder / "evaluation" / "training.csv").open(newline="") as stream:
        curves = list(csv.DictReader(stream))
    figures = json.loads((folder / "evaluation" / "training.json").read_text())
    model = keras.saving.load_model(folder / "models" / "trained.keras", compile=False)
    return curves, figures, [weights.tobytes() for weights in model.get_weights()]
