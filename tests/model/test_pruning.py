"""Removing channels removes what they gave, and nothing else; zeros stay zero; a teacher is listened to."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lively import features_of, lively_model, plain_model

from hemaloop.model.prepared import Samples
from hemaloop.model.pruning.criterion import counts, kept_channels

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


@pytest.fixture(scope="module")
def parent(tensorflow: None, training: Samples) -> Any:
    """Nothing may change it."""
    return lively_model(training.take(np.arange(len(training))))


@pytest.fixture
def model(parent: Any) -> Any:
    return copy_of(parent)


def copy_of(model: Any) -> Any:
    import keras

    copied = keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    return copied


def shares(channels: float, last_channels: float = 0.0, ranking: str = "unit", kept: tuple[int, ...] = (0,)) -> Any:
    from hemaloop.model.pruning.channels import Shares

    return Shares(channels, last_channels, ranking, kept)


def remove(model: Any, training: Samples, how: Any) -> tuple[Any, dict[str, tuple[int, int]]]:
    from hemaloop.model.pruning.channels import remove_channels

    smaller, cuts = remove_channels(model, training, how)
    return smaller, {cut.layer: (cut.before, cut.after) for cut in cuts}


@given(width=st.integers(1, 200).map(lambda n: 8 * n), share=st.floats(0, 0.9))
def test_kept_channels_are_a_multiple_of_eight_close_to_the_share(width: int, share: float) -> None:
    kept = kept_channels(width, share)
    assert kept % 8 == 0
    assert 8 <= kept <= width
    assert abs(kept - width * (1 - share)) <= max(4, 8 - width * (1 - share))


@given(
    values=st.lists(
        st.integers(1, 12).flatmap(lambda n: hnp.arrays(np.float32, 8 * n, elements=st.floats(0, 10, width=32)))
    ),
    share=st.floats(0, 0.9),
    factor=st.floats(0.125, 8),
)
def test_ranked_together_a_units_own_scale_does_not_matter(values: list[Any], share: float, factor: float) -> None:
    stay = counts(values, share, "network")
    assert all(8 <= count <= len(unit) and count % 8 == 0 for count, unit in zip(stay, values, strict=True))
    scaled = [
        unit * np.float32(2 ** round(np.log2(factor)) if number == 0 else 1) for number, unit in enumerate(values)
    ]
    assert counts(scaled, share, "network") == stay


def test_what_can_be_removed_of_mobilenet_is_the_stem_the_expansions_and_the_last_convolution(parent: Any) -> None:
    from hemaloop.model.pruning.units import find_units

    units = find_units(parent)
    assert [unit.maker for unit in units] == ["Conv1", *(f"block_{n}_expand" for n in range(1, 17)), "Conv_1"]
    assert [unit.number for unit in units] == list(range(18))
    assert [unit.maker for unit in units if unit.last] == ["Conv_1"]


def test_removing_nothing_changes_nothing(parent: Any, training: Samples) -> None:
    same, _ = remove(parent, training, shares(0))
    np.testing.assert_allclose(_outputs(same, training), _outputs(parent, training), atol=1e-6)


def test_channels_without_a_say_go_first_and_leave_the_answers_unchanged(model: Any, training: Samples) -> None:
    _silence_every_third_channel(model)
    before = _outputs(model, training)
    pruned, widths = remove(model, training, shares(0.3))
    assert all(after < width for name, (width, after) in widths.items() if name.endswith("expand"))
    assert widths["Conv1"] == (16, 16)
    np.testing.assert_allclose(_outputs(pruned, training), before, atol=2e-3)
    assert np.abs(_outputs(remove(model, training, shares(0.5))[0], training) - before).max() > 0.1


def test_ranked_together_the_block_that_has_most_to_spare_loses_most(model: Any, training: Samples) -> None:
    _silence_every_third_channel(model, blocks=range(9, 17))
    before = _outputs(model, training)
    pruned, widths = remove(model, training, shares(0.2, ranking="network"))
    left = {name: after / width for name, (width, after) in widths.items()}
    assert np.mean([left[f"block_{n}_expand"] for n in range(9, 17)]) < 0.8
    assert np.mean([left[f"block_{n}_expand"] for n in range(1, 9)]) > 0.95
    assert np.abs(_outputs(pruned, training) - before).mean() < 0.2 * before.std()


def test_the_average_of_a_removed_channel_stays(model: Any, training: Samples) -> None:
    """Channels that never vary matter to the answer, but their mean says all about them."""
    for block in range(1, 17):
        norm = model.get_layer(f"block_{block}_depthwise_BN")
        gamma, beta, mean, variance = norm.get_weights()
        gamma[::3], beta[::3] = 0, 3
        norm.set_weights([gamma, beta, mean, variance])
    pruned, _ = remove(model, training, shares(0.3))
    np.testing.assert_allclose(_outputs(pruned, training), _outputs(model, training), atol=2e-3)


def test_last_channels_that_the_answer_ignores_can_go(model: Any, training: Samples) -> None:
    last = model.get_layer("probabilities")
    kernel, bias = last.get_weights()
    kernel[::2] = 0
    last.set_weights([kernel, bias])
    pruned, widths = remove(model, training, shares(0, last_channels=0.5))
    assert widths["Conv_1"] == (1280, 640)
    pixels = training.take(np.arange(6)).astype(np.float32)
    np.testing.assert_allclose(pruned(pixels, training=False), model(pixels, training=False), atol=1e-5)
    assert pruned.count_params() < 0.9 * model.count_params()


def test_filters_of_a_plain_network_go_with_their_inputs_behind_a_flattening(training: Samples) -> None:
    """Constant filters: what they give is put into the biases, border and all, for nothing is padded."""
    model = plain_model()
    for name in ("first", "second", "dense"):
        kernel, bias = model.get_layer(name).get_weights()
        kernel[..., ::2], bias[::2] = 0, np.arange(1, len(bias) // 2 + 1) / len(bias)
        model.get_layer(name).set_weights([kernel, bias])
    pruned, widths = remove(model, training, shares(0.5, last_channels=0.5, kept=()))
    assert widths == {"first": (16, 8), "second": (32, 16), "dense": (24, 16)}
    assert pruned.get_layer("dense").get_weights()[0].shape == (3 * 3 * 16, 16)
    pixels = training.take(np.arange(6)).astype(np.float32)
    np.testing.assert_allclose(pruned(pixels, training=False), model(pixels, training=False), atol=1e-5)


def test_a_network_with_nothing_to_remove_is_refused(training: Samples) -> None:
    import keras

    from hemaloop.errors import ConfigError

    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(keras.layers.Flatten()(inputs)))
    with pytest.raises(ConfigError, match="none that can go alone"):
        remove(model, training, shares(0.5))


@given(
    weights=hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 9, width=32)),
    sparsity=st.floats(0, 0.99),
)
def test_theta_removes_the_share_asked_for_or_all_below_a_tie(weights: Any, sparsity: float) -> None:
    from hemaloop.model.pruning.magnitude import threshold

    theta = threshold(weights, sparsity)
    wanted = round(sparsity * len(weights))
    assert (weights < theta).sum() <= wanted
    if theta < np.inf:
        assert (weights <= theta).sum() > wanted


def test_zeros_stay_zero_while_the_rest_is_trained(training: Samples, validation: Samples) -> None:
    model = plain_model()
    pruned = _prune(model, training, method="magnitude", sparsity=0.6, distillation=0.5)
    masks = pruned.masks
    assert masks.sparsity == pytest.approx(0.6, abs=1e-3)
    before = {variable.path: variable.numpy() for variable in pruned.model.weights}
    _train(pruned, model, training, validation, distillation=0.5)
    kernels = {variable.path: variable.numpy() for variable in pruned.model.weights if variable.path in masks.kept}
    assert sum(int((values == 0).sum()) for values in kernels.values()) == masks.pruned
    assert all((values[~masks.kept[path]] == 0).all() for path, values in kernels.items())
    assert all(np.abs(values - before[path]).max() > 1e-3 for path, values in kernels.items())
    assert not any((variable.numpy() == 0).mean() > 0.5 for variable in model.weights if "kernel" in variable.name)


def test_a_student_of_a_teacher_alone_learns_from_it_what_the_labels_deny(training: Samples) -> None:
    """The teacher takes every class for the next; it stays as it is."""
    from hemaloop.model.pruning.learner import Learner, Teacher

    pixels, labels = training.take(np.arange(len(training))).astype(np.float32), np.eye(3)[training.labels]
    teacher = plain_model()
    _fit(teacher, pixels, np.roll(labels, 1, axis=1))
    taught, student = teacher.get_weights(), plain_model()
    _fit(Learner(student, teacher=Teacher(teacher, 1.0, 2.0)), pixels, labels)
    answers = student.predict_on_batch(pixels).argmax(axis=1)
    assert (answers == (training.labels + 1) % 3).mean() > 0.9
    assert all((now == then).all() for now, then in zip(teacher.get_weights(), taught, strict=True))


def _fit(model: Any, pixels: Any, targets: Any) -> None:
    import keras

    model.compile(keras.optimizers.Adam(0.003), "categorical_crossentropy", jit_compile=False)
    for _ in range(40):
        model.train_on_batch(pixels, targets)


def _params(**changes: Any) -> Any:
    from hemaloop.model.parameters import PruneParams

    usual = {
        "seed": 7, "method": "channels", "channels": 0.5, "last_channels": 0.3, "ranking": "unit", "keep_blocks": (),
        "sparsity": 0.5, "distillation": 0.0, "temperature": 2.0, "batch_images": 8, "epochs": 2, "learning_rate": 0.01,
    }  # fmt: skip
    return PruneParams(**usual | changes)


def _prune(parent: Any, training: Samples, **changes: Any) -> Any:
    from hemaloop.model.pruning.methods import prune

    return prune(parent, training, _params(**changes))


def _train(pruned: Any, parent: Any, training: Samples, validation: Samples, **changes: Any) -> None:
    from hemaloop.model.fitting import Plan, fine_tune
    from hemaloop.model.pruning.methods import learner_of

    params = _params(**changes)
    plan = Plan("pruned", params.epochs, params.learning_rate, params.batch_images, 0.0, params.seed)
    fine_tune(pruned.model, training, validation, 0, plan, True, learner_of(pruned, parent, params))


def _silence_every_third_channel(model: Any, blocks: range = range(1, 17)) -> None:
    for block in blocks:
        project = model.get_layer(f"block_{block}_project")
        kernel = project.get_weights()[0]
        kernel[:, :, ::3] = 0
        project.set_weights([kernel])


def _outputs(model: Any, samples: Samples) -> Any:
    return features_of(model, samples.take(np.arange(6)))
