"""What is said of a shipped file beyond its scores: when to trust it, whom it fails, and what it was asked about."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, log_loss, roc_auc_score

from hemaloop.imaging.fingerprint import fingerprints
from hemaloop.model.evaluation.abstention import (
    ROWS,
    area_under_risk_coverage,
    choose_threshold,
    risk_coverage,
    select,
    thinned,
)
from hemaloop.model.evaluation.agreement import compare_answers
from hemaloop.model.evaluation.bootstrap import Figure
from hemaloop.model.evaluation.calibration import scaled, temperature
from hemaloop.model.evaluation.conditions import all_conditions
from hemaloop.model.evaluation.examination import Examined, out_of_distribution
from hemaloop.model.evaluation.examining import choose
from hemaloop.model.evaluation.figures import Answers, calibration_error
from hemaloop.model.evaluation.leakage import Seen, find_leakage
from hemaloop.model.evaluation.outliers import detect, threshold_of
from hemaloop.model.evaluation.reliability import reliability
from hemaloop.model.evaluation.shortcut import answer_by_colour, colour_statistics
from hemaloop.model.evaluation.subgroups import split, worst

ROUNDS = 20  # of the bootstrap, where intervals are not the point


def _answers(right: list[bool], confidence: list[float]) -> Answers:
    """Two classes; class 0 is the truth of each image."""
    sure = np.array(confidence, np.float32)
    shares = np.where(np.array(right)[:, None], np.stack((sure, 1 - sure), 1), np.stack((1 - sure, sure), 1))
    return Answers(np.zeros(len(right), np.intp), shares.astype(np.float32), tuple(map(str, range(len(right)))))


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("wrong_by", [0.4, 1.0, 2.5])
def test_the_temperature_that_a_network_is_wrong_by_is_found(wrong_by: float) -> None:
    """And the calibration error falls, on other images than those it was found on, without another answer."""
    rng = np.random.default_rng(3)
    true = _softmax(rng.normal(size=(6000, 4)) * 2)
    labels = (rng.random((6000, 1)) > true.cumsum(axis=1)[:, :3]).sum(axis=1)
    said = _softmax(np.log(true) * wrong_by)
    found = temperature(said[:3000], labels[:3000])
    assert found == pytest.approx(wrong_by, rel=0.1)
    before, after = (
        Answers(labels[3000:], p.astype(np.float32), ("",) * 3000) for p in (said[3000:], scaled(said[3000:], found))
    )
    assert np.array_equal(before.answered, after.answered)
    ones = np.ones((3000, 1))
    assert calibration_error(after, ones)[0] < 0.035  # chance alone gives 0.025
    assert wrong_by == 1 or calibration_error(after, ones)[0] < calibration_error(before, ones)[0] / 2
    assert log_loss(labels[3000:], scaled(said[3000:], found)) <= log_loss(labels[3000:], said[3000:]) + 1e-3


def test_a_side_without_a_mistake_does_not_ask_for_certainty() -> None:
    labels = np.arange(40) % 4
    shares = np.full((40, 4), 0.01) + np.eye(4)[labels] * 0.96
    found = temperature(shares, labels)
    assert 0.4 < found < 1.5
    assert scaled(shares, found).max() < 0.999


def test_scaling_is_undone_by_its_inverse() -> None:
    shares = _softmax(np.random.default_rng(1).normal(size=(50, 5)) * 3)
    assert scaled(scaled(shares, 2.5), 1 / 2.5) == pytest.approx(shares, abs=1e-5)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.6, 0.7, 0.8, 0.9, 0.95])), min_size=1, max_size=60))
def test_bins_of_the_reliability_curve_add_up_to_the_calibration_error(images: list[tuple[bool, float]]) -> None:
    answers = _answers([right for right, _ in images], [sure for _, sure in images])
    rows = reliability(answers)
    error = sum(row.images * abs(row.accuracy - row.confidence) for row in rows) / len(answers)
    assert sum(row.images for row in rows) == len(answers)
    assert error == pytest.approx(calibration_error(answers, np.ones((len(answers), 1)))[0], abs=2e-6)
    assert all(row.lowest <= row.confidence + 1e-6 <= row.highest + 2e-6 for row in rows)


def test_the_risk_coverage_curve_answers_the_surest_first() -> None:
    answers = _answers([True, True, False, True, False], [0.99, 0.9, 0.9, 0.8, 0.6])
    assert [(round(row.threshold, 2), row.coverage, row.risk) for row in risk_coverage(answers)] == [
        (0.99, 0.2, 0.0),
        (0.9, pytest.approx(0.6), pytest.approx(1 / 3)),
        (0.8, 0.8, 0.25),
        (0.6, 1.0, 0.4),
    ]
    assert area_under_risk_coverage(answers, ROUNDS, 1).value == pytest.approx((0 + 1 / 3 + 1 / 3 + 1 / 4 + 2 / 5) / 5)
    many = _answers([True] * 500, list(np.linspace(0.6, 0.99, 500)))
    short = thinned(risk_coverage(many))
    assert (len(short), short[0].threshold, short[-1].coverage) == (ROWS, pytest.approx(0.99), 1.0)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.6, 0.7, 0.8, 0.9, 0.95])), min_size=1, max_size=40),
    st.sampled_from([0.0, 0.1, 0.3]),
)
def test_the_threshold_holds_its_risk_where_it_was_chosen_and_no_lower_one_does(
    images: list[tuple[bool, float]], risk: float
) -> None:
    answers = _answers([right for right, _ in images], [sure for _, sure in images])
    threshold = choose_threshold(answers, risk)
    chosen = select(answers, threshold, 2, 1)
    assert chosen.risk.value is None or chosen.risk.value <= risk
    assert (threshold is None) == (chosen.answered == 0)
    lower = [value for value in set(answers.confidence.tolist()) if threshold is None or value < threshold]
    assert all((select(answers, value, 2, 1).risk.value or 0) > risk for value in lower)


def test_agreement_counts_what_quantising_changed() -> None:
    parent = _answers([True, True, True, False], [0.9, 0.9, 0.6, 0.7])
    shipped = _answers([True, True, False, True], [0.9, 0.8, 0.6, 0.7])
    found = compare_answers(shipped, parent, ROUNDS, 1)
    assert (found.same_answers.value, found.mended, found.spoilt) == (0.5, 1, 1)
    assert found.largest_probability_difference == pytest.approx(0.4)
    assert found.kappa.value == pytest.approx((0.5 - 0.625) / (1 - 0.625))
    same = _answers([True] * 3, [0.9] * 3)
    assert compare_answers(same, same, ROUNDS, 1).kappa == Figure(1.0, 1.0, 1.0)


def test_the_worst_subgroup_is_named_and_small_ones_are_not() -> None:
    labels = np.array([0, 1] * 15)
    devices = ["pi-1"] * 20 + ["pi-2"] * 8 + ["pi-3"] * 2
    answered = np.where(np.array([device == "pi-1" for device in devices]), labels, 0)
    answered[28:] = 1 - labels[28:]
    answers = Answers(labels, np.eye(2, dtype=np.float32)[answered], tuple(map(str, range(30))))
    found = split(answers, {"device": devices, "stain": [""] * 30}, ("a", "b"), rounds=100, seed=1)
    assert [(each.kind, each.name, each.images, each.macro_sensitivity) for each in found] == [
        ("device", "pi-1", 20, 1.0),
        ("device", "pi-2", 8, 0.5),
        ("device", "pi-3", 2, 0.0),
        ("stain", "", 30, pytest.approx((1 + 10 / 15 - 1 / 15) / 2 - 1 / 30, abs=0.06)),
    ]
    lowest = worst(found, 5)
    assert lowest is not None
    assert (lowest.name, worst(found, 31)) == ("pi-2", None)


def test_doubt_tells_strange_images_from_known_ones() -> None:
    sure = _softmax(np.random.default_rng(1).normal(size=(80, 4)) + np.eye(4)[np.arange(80) % 4] * 8).astype(np.float32)
    torn = np.full((30, 4), 0.25, np.float32)
    known = Answers(np.arange(80) % 4, sure, tuple(f"slide {place // 4}" for place in range(80)))
    found = detect(known, torn, [str(place) for place in range(30)], threshold_of(sure), ROUNDS, 1)
    always, never = Figure(1.0, 1.0, 1.0), Figure(0.0, 0.0, 0.0)
    assert (found.auroc, found.auroc_entropy, found.let_through) == (always, always, never)
    alike = detect(known, sure, known.groups, threshold_of(sure), ROUNDS, 1)
    assert alike.auroc == Figure(pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))  # the same draws of both
    assert alike.let_through.value >= 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_figures_of_trust_are_those_that_scikit_learn_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, groups = rng.integers(0, 4, 120), tuple(f"slide {place // 6}" for place in range(120))
    shipped, parent = (
        Answers(labels, _softmax(rng.normal(size=(120, 4)) + np.eye(4)[labels]).round(1).astype(np.float32), groups)
        for _ in range(2)
    )
    strange = _softmax(rng.normal(size=(50, 4)) / 2).astype(np.float32)
    found = compare_answers(shipped, parent, ROUNDS, 1)
    assert found.kappa.value == pytest.approx(cohen_kappa_score(shipped.answered, parent.answered))
    told = detect(shipped, strange, [str(place) for place in range(50)], 0.5, ROUNDS, 1)
    doubt = np.concatenate((1 - shipped.confidence, 1 - strange.max(axis=1)))
    assert told.auroc.value == pytest.approx(roc_auc_score(np.repeat([0, 1], [120, 50]), doubt))
    assert told.let_through.value == pytest.approx((1 - strange.max(axis=1) <= 0.5).mean())


def test_intervals_of_trust_are_over_groups_and_not_over_images() -> None:
    """Slides of six images that are answered alike, against the same answers of images on slides of their own."""
    right = np.repeat(np.random.default_rng(4).random(20) < 0.6, 6)
    sure = np.where(right, 0.9, 0.7)
    parent = _answers([True] * 120, [0.9] * 120)
    alone = _answers(right.tolist(), sure.tolist())
    together = replace(alone, groups=tuple(f"slide {place // 6}" for place in range(120)))
    for figure in (
        lambda answers: compare_answers(answers, parent, 400, 1).same_answers,
        lambda answers: area_under_risk_coverage(answers, 400, 1),
        lambda answers: select(answers, 0.8, 400, 1).coverage,
    ):
        of_slides, of_images = figure(together), figure(alone)
        assert of_slides.value == of_images.value
        assert of_slides.low < of_slides.value < of_slides.high
        assert of_slides.high - of_slides.low > 1.8 * (of_images.high - of_images.low)
    all_wrong = replace(_answers([False] * 9, [0.9] * 9), groups=tuple("aaaaaabbc"))
    assert area_under_risk_coverage(all_wrong, 50, 1) == Figure(1.0, 1.0, 1.0)  # slides of unequal size
    one_slide = replace(alone, groups=("slide",) * 120)
    assert select(one_slide, 0.8, 400, 1).coverage == Figure(pytest.approx(right.mean()))
    assert select(alone, None, 400, 1).risk == Figure(None)


def test_images_made_from_test_images_are_drawn_with_them() -> None:
    """Here no condition changes an answer, so that no draw can tell them apart; strangers are drawn by themselves."""
    rng = np.random.default_rng(2)
    answers = _softmax(rng.normal(size=(60, 4)) * 3).astype(np.float32)
    clean = Answers(np.arange(60) % 4, answers, tuple(f"slide {place // 10}" for place in range(60)))
    conditions = all_conditions()
    examined = Examined(clean, conditions, np.stack([answers] * len(conditions)), rounds=50, seed=1)
    against = out_of_distribution(examined, {"noise": answers[:30]}, clean)["against"]
    for made in (name for name in against if name != "noise"):
        ends = [against[made][f"auroc{end}"] for end in ("_low", "", "_high")]
        assert ends == pytest.approx([0.5] * 3)
    assert against["noise"]["auroc_low"] < against["noise"]["auroc"] < against["noise"]["auroc_high"]


def test_a_neighbour_in_colour_alone_sees_colours_and_no_shapes() -> None:
    rng = np.random.default_rng(5)
    labels = np.arange(40) % 2
    by_colour = rng.integers(0, 60, (40, 16, 16, 3), np.uint8)
    by_colour[labels == 1, ..., 0] += 100
    stripes = np.full((40, 16, 16, 3), 50, np.uint8)
    stripes[labels == 0, ::2] = 200
    stripes[labels == 1, :, ::2] = 200  # the same pixels, standing instead of lying
    for pixels, wanted in ((by_colour, 1.0), (stripes, 0.5)):
        colours = colour_statistics([pixels[:20], pixels[20:]])
        answers = answer_by_colour(colours[:20], labels[:20], colours[20:], 2).argmax(axis=1)
        assert colours.shape == (40, 12)
        assert (answers == labels[20:]).mean() == wanted


def _seen(name: str, grey: np.ndarray) -> Seen:
    return Seen(name, *fingerprints(grey))


def test_a_test_image_that_is_or_looks_like_a_training_image_is_found() -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (8, 8), np.uint8).repeat(12, 0).repeat(12, 1) for _ in range(4)]
    darker = (pictures[1] * 0.9).astype(np.uint8)
    train = [_seen("a", pictures[0]), _seen("b", pictures[1])]
    test = [_seen("a", pictures[0]), _seen("b-again", darker), _seen("c", pictures[2]), _seen("d", pictures[3])]
    found = find_leakage(test, train)
    assert (found.exact, found.near, found.test_images, found.compared_with) == (1, 1, 4, 2)
    assert found.pairs == (("a", "a"), ("b-again", "b"))
    assert find_leakage(test, []).pairs == ()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("uvw")), min_size=1, max_size=40), st.integers(1, 50))
def test_examined_images_are_of_all_classes_and_groups_alike(images: list[tuple[int, str]], count: int) -> None:
    labels, groups = np.array([label for label, _ in images]), [group for _, group in images]
    chosen = choose(labels, groups, count)
    assert len(chosen) == min(count, len(images))
    assert list(chosen) == sorted(set(chosen.tolist()))
    taken, there = np.bincount(labels[chosen], minlength=3), np.bincount(labels, minlength=3)
    open_ = taken < there  # a class that has images left is never behind another by more than one
    assert all(taken[one] >= taken.max() - 1 for one in range(3) if open_[one])
    for label in range(3):
        of_class = {group for each, group in images if each == label}
        got = {groups[place] for place in chosen if labels[place] == label}
        assert len(got) == min(len(of_class), taken[label])
