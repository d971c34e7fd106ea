"""Removing channels removes what they gave, and nothing else."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lively import ALPHA, features_of, lively_model

from hemaloop.model.prepared import Samples

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tensorflow")]


@given(width=st.integers(1, 200).map(lambda n: 8 * n), share=st.floats(0, 0.9))
def test_kept_channels_are_a_multiple_of_eight_close_to_the_share(width: int, share: float) -> None:
    from hemaloop.model.pruning import kept_channels

    kept = kept_channels(width, share)
    assert kept % 8 == 0
    assert 8 <= kept <= width
    assert abs(kept - width * (1 - share)) <= max(4, 8 - width * (1 - share))


def test_removing_nothing_changes_nothing(training: Samples) -> None:
    from hemaloop.model.pruning import prune

    model = lively_model(training.take(np.arange(len(training))))
    np.testing.assert_allclose(
        _outputs(prune(model, ALPHA, training, 0).model, training), _outputs(model, training), atol=1e-6
    )


def test_channels_without_a_say_go_first_and_leave_the_answers_unchanged(training: Samples) -> None:
    from hemaloop.model.pruning import prune

    model = lively_model(training.take(np.arange(len(training))))
    _silence_every_third_channel(model)
    before = _outputs(model, training)
    pruned = prune(model, ALPHA, training, 0.3)
    assert all(after < width for after, width in zip(pruned.widths, pruned.widths_before, strict=True))
    np.testing.assert_allclose(_outputs(pruned.model, training), before, atol=2e-3)
    more = prune(model, ALPHA, training, 0.5)
    assert np.abs(_outputs(more.model, training) - before).max() > 0.1


def test_the_average_of_a_removed_channel_stays(training: Samples) -> None:
    """Channels that never vary matter to the answer, but their mean says all about them."""
    from hemaloop.model.pruning import prune

    model = lively_model(training.take(np.arange(len(training))))
    for block in range(1, 17):
        norm = model.get_layer(f"block_{block}_depthwise_BN")
        gamma, beta, mean, variance = norm.get_weights()
        gamma[::3], beta[::3] = 0, 3
        norm.set_weights([gamma, beta, mean, variance])
    pruned = prune(model, ALPHA, training, 0.3)
    np.testing.assert_allclose(_outputs(pruned.model, training), _outputs(model, training), atol=2e-3)


def test_pruned_network_computes_less(training: Samples) -> None:
    from hemaloop.model.networks.mobilenetv2 import widths_of
    from hemaloop.model.pruning import prune

    model = lively_model(training.take(np.arange(len(training))))
    pruned = prune(model, ALPHA, training, 0.5)
    assert widths_of(pruned.model) == pruned.widths
    assert pruned.model.count_params() < 0.8 * model.count_params()


def _silence_every_third_channel(model: Any) -> None:
    for block in range(1, 17):
        project = model.get_layer(f"block_{block}_project")
        kernel = project.get_weights()[0]
        kernel[:, :, ::3] = 0
        project.set_weights([kernel])


def _outputs(model: Any, samples: Samples) -> Any:
    return features_of(model, samples.take(np.arange(6)))
