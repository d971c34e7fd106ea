"""Figures say what was seen, how surely, and nothing about what was not."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.calibration import calibration_curve

from hemaloop.model.evaluation.bootstrap import draw, figure_of
from hemaloop.model.evaluation.figures import BY_CLASS, OVERALL, Answers, by_class, calibration_error, overall
from hemaloop.model.evaluation.latency import compare
from hemaloop.model.evaluation.scoring import Scores, flat, macro_sensitivity, score

CLASSES = ("a", "b", "c")


def _sure(labels: list[int], answers: list[int], groups: str | None = None) -> Answers:
    names = tuple(groups) if groups else tuple(str(n) for n in range(len(labels)))
    return Answers(np.array(labels), np.eye(3, dtype=np.float32)[answers], names)


def _score(answers: Answers) -> Scores:
    return score(answers, CLASSES, rounds=200, seed=1)


def _unsure(seed: int, images: int = 300, classes: int = 3, levels: int | None = None) -> Answers:
    """Some right, some wrong, groups of three; `levels`: as coarse as an integer file."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), labels] += 1.5
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if levels:
        shares = np.rint(shares * levels) / levels
    return Answers(labels, shares.astype(np.float32), tuple(str(n // 3) for n in range(images)))


def test_figures_of_a_known_case() -> None:
    scores = _score(_sure([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 2, 0]))
    figures = {name: figure.value for name, figure in scores.figures.items()}
    assert figures["accuracy"] == pytest.approx(6 / 8)
    assert figures["macro_sensitivity"] == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert figures["macro_specificity"] == pytest.approx((3 / 4 + 5 / 6 + 1) / 3)
    assert figures["macro_precision"] == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert figures["brier"] == pytest.approx(2 * 2 / 8)
    assert (scores.images, scores.groups, scores.classes, scores.absent_classes) == (8, 8, 3, 0)


@pytest.mark.parametrize("levels", [None, 16])
def test_every_figure_is_scikit_learns(levels: int | None) -> None:
    """Also where many images have the same score, as in an integer file."""
    answers = _unsure(seed=3, levels=levels)
    found = {name: figure.value for name, figure in _score(answers).figures.items()}
    labels, answered, shares = answers.labels, answers.answered, answers.probabilities
    precision, sensitivity, f1, _ = metrics.precision_recall_fscore_support(labels, answered, average="macro")
    ones = [labels == label for label in range(3)]
    specificity = [metrics.recall_score(~one, answered != label) for label, one in enumerate(ones)]
    aucs = [metrics.roc_auc_score(one, shares[:, label]) for label, one in enumerate(ones)]
    curves = [metrics.roc_curve(one, shares[:, label], drop_intermediate=False) for label, one in enumerate(ones)]
    at_95 = [tpr[fpr <= 0.05 + 1e-12].max() for fpr, tpr, _ in curves]
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, answered))
    assert found["macro_sensitivity"] == pytest.approx(sensitivity)
    assert found["macro_specificity"] == pytest.approx(np.mean(specificity))
    assert found["macro_precision"] == pytest.approx(precision)
    assert found["macro_f1"] == pytest.approx(f1)
    assert found["macro_auc"] == pytest.approx(np.mean(aucs))
    assert found["sensitivity_at_95_specificity"] == pytest.approx(np.mean(at_95))
    if levels is None:  # scikit-learn wants shares that add up to 1, and cuts its bins through equal ones
        assert found["brier"] == pytest.approx(metrics.brier_score_loss(labels, shares), abs=1e-6)
        right, sure = calibration_curve(answers.right, answers.confidence, n_bins=15, strategy="quantile")
        assert found["ece"] == pytest.approx(np.abs(right - sure).mean(), abs=1e-6)


def test_a_drawn_image_counts_as_often_as_it_was_drawn() -> None:
    """What the bootstrap computes for a draw is what the images drawn, written out, would give."""
    answers, rng = _unsure(seed=5, images=90, levels=32), np.random.default_rng(7)
    weights = rng.integers(0, 4, (90, 5)).astype(float)
    classes = by_class(answers, weights)
    figures = classes | overall(answers, weights, classes)
    for column in range(5):
        places = np.repeat(np.arange(90), weights[:, column].astype(int))
        drawn = Answers(answers.labels[places], answers.probabilities[places], ("",) * len(places))
        alone = by_class(drawn, np.ones((len(places), 1)))
        alone |= overall(drawn, np.ones((len(places), 1)), alone)
        for name in (*BY_CLASS, *OVERALL):
            assert figures[name][column] == pytest.approx(alone[name][0]), name


def test_equal_confidences_are_never_torn_apart() -> None:
    """Of 100 images of one confidence 90 are right: calibrated, in whatever order they come."""
    right = np.arange(100) < 90
    shares = np.tile(np.array([0.9, 0.1], np.float32), (100, 1))
    answers = Answers(np.where(right, 0, 1), shares, tuple("x" * 100))
    assert calibration_error(answers, np.ones((100, 1)))[0] == pytest.approx(0, abs=1e-6)


def test_a_class_without_test_images_is_left_out_and_counted() -> None:
    scores = _score(_sure([0, 0, 1, 1], [0, 0, 1, 2]))
    assert scores.macro_sensitivity.value == pytest.approx(0.75)
    assert (scores.classes, scores.absent_classes) == (2, 1)
    absent = scores.by_class[2]
    assert absent.images == 0
    assert set(flat(absent.figures).values()) == {None}


def test_one_group_has_no_interval() -> None:
    scores = _score(_sure([0, 1, 2], [0, 1, 1], "xxx"))
    assert all(figure.low is None and figure.high is None for figure in scores.figures.values())
    assert all(figure.value is not None for figure in scores.figures.values())


def test_a_class_of_one_group_has_no_interval_and_is_never_left_out_of_the_macro() -> None:
    """Ten images of one slide, half of them wrong, beside two classes of twenty slides."""
    labels = [0, 1] * 40 + [2] * 10
    answered = [*labels[:80], *[0] * 5, *[2] * 5]
    names = tuple(f"slide-{n // 4}" for n in range(80)) + ("alone",) * 10
    scores = score(Answers(np.array(labels), np.eye(3, dtype=np.float32)[answered], names), CLASSES, 300, seed=1)
    alone, other = scores.by_class[2], scores.by_class[0]
    assert alone.figures["sensitivity"].value == 0.5
    assert {figure.low for figure in alone.figures.values()} == {None}
    assert other.figures["precision"].low is not None
    assert scores.macro_sensitivity.high == pytest.approx(2.5 / 3)  # without the third class it would be 1


def test_one_class_has_no_auc_and_no_specificity() -> None:
    figures = _score(_sure([1, 1], [1, 0])).figures
    assert figures["macro_auc"].value is None
    assert figures["macro_specificity"].value is None
    assert figures["sensitivity_at_95_specificity"].value is None


def test_images_of_one_group_are_no_independent_evidence() -> None:
    """Forty images of four slides say less than forty of forty slides."""
    labels = [0, 1] * 20
    answers = [1 - label if n < 10 else label for n, label in enumerate(labels)]
    apart = _score(_sure(labels, answers)).macro_sensitivity
    together = _score(_sure(labels, answers, "0" * 10 + "1" * 10 + "2" * 10 + "3" * 10)).macro_sensitivity
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Slides differ, and images of a slide are alike; of 150 studies some 95 % find the true macro sensitivity."""
    rng, held = np.random.default_rng(11), 0
    slides, images, truth = 40, 10, 0.8  # the mean of Beta(8, 2)
    for _ in range(150):
        chance = np.repeat(rng.beta(8, 2, slides), images)
        labels = np.tile([0, 1], slides * images // 2)
        answered = np.where(rng.random(slides * images) < chance, labels, 1 - labels)
        groups = tuple(np.repeat(np.arange(slides).astype(str), images))
        found = macro_sensitivity(Answers(labels, np.eye(2, dtype=np.float32)[answered], groups), rounds=200, seed=1)
        held += found.low <= truth <= found.high
    assert 0.89 <= held / 150 <= 0.99


def test_a_calibrated_model_is_not_said_to_be_uncalibrated() -> None:
    """On 180 images the error of a perfect model is about 0.1; its interval must reach down to the truth, 0."""
    rng, held, large = np.random.default_rng(13), 0, []
    for _ in range(40):
        shares = rng.dirichlet((1, 1, 1), 180).astype(np.float32)
        labels = (rng.random((180, 1)) > shares.cumsum(axis=1)[:, :2]).sum(axis=1)
        answers = Answers(labels, shares, tuple(str(n // 3) for n in range(180)))
        found = score(answers, CLASSES, rounds=100, seed=1).figures["ece"]
        held += found.low == 0
        blunt = Answers(labels, np.eye(3, dtype=np.float32)[answers.answered], answers.groups)  # as if always sure
        large.append(score(blunt, CLASSES, rounds=100, seed=1).figures["ece"].low)
    assert held >= 36
    assert min(large) > 0.1


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_intervals_are_repeatable_and_hold_their_figure(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 30))
    draws = st.lists(st.integers(0, 2), min_size=count, max_size=count)
    labels, answers, groups = (data.draw(draws) for _ in range(3))
    given_ = _sure(labels, answers, "".join(map(str, groups)))
    scores = _score(given_)
    assert scores == _score(given_)
    for name, figure in scores.figures.items():
        if figure.low is not None:
            assert 0 <= figure.low <= figure.high <= (2 if name == "brier" else 1)
    ece = scores.figures["ece"]
    assert ece.low is None or ece.low <= ece.value <= ece.high
    assert macro_sensitivity(given_, rounds=200, seed=1) == scores.macro_sensitivity


def test_many_images_are_drawn_in_parts_that_fit_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = _unsure(seed=9, images=60)
    whole = draw(lambda weights: by_class(answers, weights), answers.groups, rounds=50, seed=3)
    monkeypatch.setattr("hemaloop.model.evaluation.bootstrap._CELLS", 600)
    parts = draw(lambda weights: by_class(answers, weights), answers.groups, rounds=50, seed=3)
    assert all(np.array_equal(whole[name], parts[name], equal_nan=True) for name in BY_CLASS)
    assert figure_of(0.5, np.full(4, np.nan)).low is None


def test_latencies_are_compared_by_taking_turns_and_none_always_follows_the_same() -> None:
    calls: list[str] = []
    names = ("one", "two", "three")
    times = compare(40, {name: partial(calls.append, name) for name in names})
    turns = [calls[first : first + 3] for first in range(0, len(calls), 3)]
    assert len(turns) == 43
    assert all(sorted(turn) == sorted(names) for turn in turns)
    assert set(pairwise(calls)) >= {(one, other) for one in names for other in names if one != other}
    assert set(times) == set(names)
    assert all(value >= 0 for value in times.values())
