"""S1's affine quantisation: no number moves by more than half a step."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hemaloop.errors import DataError
from hemaloop.model.quantisation.affine import ROUNDING, dequantise, fit_range, quantise

REALS = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(values=hnp.arrays(np.float64, st.integers(2, 40), elements=REALS), bits=st.sampled_from((2, 8, 16)))
def test_within_its_range_no_number_moves_by_more_than_half_a_step(values: Any, bits: int) -> None:
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-6:
        return
    affine = fit_range(low, high, bits)
    integers = quantise(values, affine)
    assert integers.min() >= 0
    assert integers.max() <= 2**bits - 1
    slack = 1e-9 * max(abs(low), abs(high))
    assert np.abs(values - dequantise(integers, affine)).max() <= affine.scale / 2 + slack


@given(low=st.floats(-100, 0), high=st.floats(0.01, 100), beyond=st.floats(0, 100))
def test_what_lies_outside_becomes_the_end_of_the_range(low: float, high: float, beyond: float) -> None:
    affine = fit_range(low, high)
    assert (
        quantise(np.array([low - beyond, high + beyond]), affine).tolist()
        == quantise(np.array([low, high]), affine).tolist()
    )


@given(low=st.floats(-100, -0.01), high=st.floats(0.01, 100))
def test_zero_is_the_zero_point_and_comes_back_as_zero(low: float, high: float) -> None:
    affine = fit_range(low, high)
    assert quantise(np.zeros(1), affine)[0] == affine.zero_point
    assert dequantise(np.array([affine.zero_point]), affine)[0] == 0


def test_pixels_are_their_own_numbers() -> None:
    affine = fit_range(0, 255)
    assert (affine.scale, affine.zero_point) == (1.0, 0)
    assert quantise(np.arange(256.0), affine).tolist() == list(range(256))


def test_rounding_alone_leaves_the_error_that_reports_compare_with() -> None:
    values = np.random.default_rng(0).uniform(-3, 5, 100_000)
    affine = fit_range(-3, 5)
    error = values - dequantise(quantise(values, affine), affine)
    assert np.sqrt(np.mean(error**2)) / affine.scale == pytest.approx(ROUNDING, rel=0.01)


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, float("nan")), (0.0, float("inf"))])
def test_a_range_that_nothing_varies_over_is_refused(low: float, high: float) -> None:
    with pytest.raises(DataError, match="wanted a range"):
        fit_range(low, high)
