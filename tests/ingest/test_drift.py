"""A difference is told of only where chance does not explain it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.ingest.drift import drift, imbalance, surely

numbers = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20)


@given(sample=numbers, reference=numbers)
def test_drift_is_the_kolmogorov_smirnov_distance_less_what_chance_explains(
    sample: list[float], reference: list[float]
) -> None:
    n, m = len(sample), len(reference)
    distance = max(
        abs(sum(value <= at for value in sample) / n - sum(value <= at for value in reference) / m)
        for at in sample + reference
    )
    by_chance = 1.9495 * math.sqrt((n + m) / (n * m))  # Smirnov's table, one in a thousand
    assert drift(sample, reference) == pytest.approx(max(0.0, distance - by_chance), abs=1e-4)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), size=st.integers(5, 100))
def test_the_same_source_does_not_drift_far_and_another_lamp_does(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    reference = rng.normal(180, 5, 500).tolist()
    assert drift(rng.normal(180, 5, size).tolist(), reference) < 0.2
    if size >= 50:
        assert drift(rng.normal(120, 5, size).tolist(), reference) > 0.5


def test_nothing_to_compare_is_no_drift_and_no_balance() -> None:
    assert all(math.isnan(found) for found in (drift([], [1.0]), drift([1.0], []), imbalance([], ["a"]), surely(0, 0)))


@given(count=st.integers(1, 200))
def test_few_labels_prove_nothing_and_many_of_another_class_do(count: int) -> None:
    reference = ["monocyte", "neutrophil"] * 200
    assert imbalance(["monocyte", "neutrophil"] * count, reference) == 0
    found = imbalance(["basophil"] * count, reference)
    assert found == 0 if count < 4 else found <= 1
    if count > 100:
        assert found > 0.5


@given(seed=st.integers(0, 10_000))
def test_many_classes_are_never_shared_out_quite_the_same(seed: int) -> None:
    sample, reference = (np.random.default_rng(seed).choice(40, size).astype(str).tolist() for size in (40, 400))
    assert imbalance(sample, reference) == 0


@given(of=st.integers(1, 500), share=st.floats(0, 1))
def test_a_share_is_surely_no_more_than_it_is_and_closes_in_on_it(of: int, share: float) -> None:
    count = round(of * share)
    assert 0 <= surely(count, of) <= count / of + 1e-12
    assert surely(100 * count, 100 * of) >= surely(count, of) - 1e-12


@pytest.mark.parametrize(("count", "of", "least"), [(1, 1, 0.207), (3, 3, 0.438), (60, 100, 0.502)])
def test_wilsons_published_lower_ends(count: int, of: int, least: float) -> None:
    assert surely(count, of) == pytest.approx(least, abs=0.001)
