"""Figures say what was seen, how surely, and nothing about what was not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemaloop.model.evaluation.latency import compare
from hemaloop.model.evaluation.scoring import interval, macro_auc, score, score_classes

CLASSES = ("a", "b", "c")


def _sure(answers: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[answers]


def test_figures_of_a_known_case() -> None:
    labels, answers = np.array([0, 0, 0, 0, 1, 1, 2, 2]), [0, 0, 0, 1, 1, 1, 2, 0]
    scores = score(labels, _sure(answers), [str(n) for n in range(8)], rounds=200, seed=1)
    assert scores.accuracy == pytest.approx(6 / 8)
    assert scores.macro_sensitivity == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert scores.macro_precision == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert scores.macro_f1 == pytest.approx((3 / 4 + 4 / 5 + 2 / 3) / 3)
    assert (scores.images, scores.groups, scores.classes, scores.absent_classes) == (8, 8, 3, 0)


def test_a_class_without_test_images_is_left_out_and_counted() -> None:
    scores = score(np.array([0, 0, 1, 1]), _sure([0, 0, 1, 2]), list("wxyz"), rounds=200, seed=1)
    assert scores.macro_sensitivity == pytest.approx(0.75)
    assert (scores.classes, scores.absent_classes) == (2, 1)
    (_, _, absent) = score_classes(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), CLASSES)
    assert (absent.images, absent.sensitivity, absent.precision) == (0, None, None)


def test_one_group_has_no_interval() -> None:
    scores = score(np.array([0, 1, 2]), _sure([0, 1, 1]), ["slide"] * 3, rounds=200, seed=1)
    assert (scores.macro_sensitivity_low, scores.macro_sensitivity_high) == (None, None)


def test_one_class_has_no_auc() -> None:
    assert macro_auc(np.array([1, 1]), _sure([1, 0])) is None


def test_an_order_that_separates_the_classes_has_an_auc_of_one() -> None:
    assert macro_auc(np.array([0, 1, 2, 2]), _sure([0, 1, 2, 2])) == pytest.approx(1.0)
    assert macro_auc(np.array([0, 1]), np.full((2, 3), 1 / 3, np.float32)) == pytest.approx(0.5)


def test_images_of_one_group_are_no_independent_evidence() -> None:
    """Forty images of four slides say less than forty of forty slides."""
    labels = np.tile([0, 1], 20)
    answers = np.where(np.arange(40) < 10, 1 - labels, labels)
    apart = interval(labels, answers, [str(n) for n in range(40)], 2, rounds=2000, seed=3)
    together = interval(labels, answers, [str(n // 10) for n in range(40)], 2, rounds=2000, seed=3)
    assert _width(together) > 1.5 * _width(apart)


@given(st.data())
def test_interval_is_repeatable_and_within_bounds(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 30))
    draw = st.lists(st.integers(0, 2), min_size=count, max_size=count)
    labels, answers, groups = (np.array(data.draw(draw)) for _ in range(3))
    names = [str(group) for group in groups]
    low, high = interval(labels, answers, names, 3, rounds=200, seed=5)
    assert (low, high) == interval(labels, answers, names, 3, rounds=200, seed=5)
    if len(set(names)) > 1:
        assert low is not None
        assert high is not None
        assert 0 <= low <= high <= 1


def test_latencies_are_compared_by_taking_turns() -> None:
    calls: list[str] = []
    times = compare(5, {"one": lambda: calls.append("one"), "two": lambda: calls.append("two")})
    assert calls == ["one", "two"] * 8
    assert set(times) == {"one", "two"}
    assert all(value >= 0 for value in times.values())


def _width(bounds: tuple[float | None, float | None]) -> float:
    low, high = bounds
    assert low is not None
    assert high is not None
    return high - low
