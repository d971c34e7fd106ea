"""What helps elsewhere is told of images that nothing was learned from."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.laboratories import to_markdown
from experiments.views import AT_HOME, OFF_CENTRE, Cells, Preparation, prepare, show
from hemaloop.imaging.smear import Slide, draw
from hemaloop.model.adaptation import Head
from hemaloop.model.runtime import start_tensorflow

if TYPE_CHECKING:
    from experiments.frozen import Experiment

SCALE = {"scale": {"um_per_px": 0.2}}


@pytest.fixture
def cells() -> Cells:
    images = tuple(draw(name, Slide.of(number), number) for number, name in enumerate(("neutrophil", "monocyte")))
    return Cells(images, np.array([0, 1]), ("a", "b"), ("monocyte", "neutrophil"))


def test_at_home_nothing_is_changed_and_elsewhere_it_is(cells: Cells) -> None:
    home, pale = (show(cells, name, 7) for name in (AT_HOME, "stain_pale"))
    assert all(np.array_equal(one, other) for one, other in zip(home.images, cells.images, strict=True))
    assert not np.array_equal(pale.images[0], cells.images[0])


def test_a_scale_that_is_told_follows_the_microscope(cells: Cells) -> None:
    """Cells one and a half times as large, and their scale told: the network sees them as large as at home."""
    told = Preparation("", (SCALE,), told=True)
    home, large = (prepare(show(cells, name, 7), told, name, 64) for name in (AT_HOME, "scale_large"))
    ignored = prepare(show(cells, "scale_large", 7), told, AT_HOME, 64)
    apart = [np.abs(each.astype(int) - home).mean() for each in (large, ignored)]
    assert apart[0] < apart[1] / 2


def test_off_centre_a_cell_lies_elsewhere_and_is_as_large() -> None:
    """One dark pixel in the middle: it stays one pixel, within five micrometres."""
    image = np.full((360, 360, 3), 200, np.uint8)
    image[180, 180] = 0
    moved = show(Cells((image,) * 20, np.zeros(20, np.intp), ("a",) * 20, ("x",)), OFF_CENTRE, 7)
    places = [np.argwhere(each[:, :, 0] == 0) - 130 for each in moved.images]
    assert all(each.shape == (1, 2) and np.abs(each).max() <= 50 for each in places)
    assert len({tuple(each[0]) for each in places}) > 10


@pytest.fixture(scope="module")
def run(test_images: Path) -> "Experiment":
    start_tensorflow(7)
    from experiments.frozen import Experiment

    return Experiment(10, [AT_HOME, OFF_CENTRE, "stain_blue"])


@pytest.mark.slow
@pytest.mark.images
def test_a_sites_own_images_are_never_scored(run: "Experiment") -> None:
    assert not set(run.training.groups) & set(run.held_out.groups)
    assert not set(run.labelled) & set(run.scored)
    right, wrong = answers_of(run)
    right[run.labelled] = wrong[run.labelled]
    perfect = run.score("perfect", dict.fromkeys((AT_HOME, OFF_CENTRE, "stain_blue"), right), refused=["stain_blue"])
    assert (perfect.mean, perfect.worst) == (1.0, "stain_blue")
    table = to_markdown([perfect])
    assert "perfect (refused in 1 of 3) | 100.0 (100.0 to 100.0) | 100.0 | 100.0 | 100.0 | 100.0 |" in table
    mixed = run.score("mixed", {AT_HOME: right, "stain_blue": right, "stain_red": wrong})
    assert (mixed.mean, mixed.worst) == (0.5, "stain_red")


def answers_of(run: "Experiment") -> tuple[np.ndarray, np.ndarray]:
    """All right, and all wrong."""
    right = np.eye(len(run.held_out.classes))[run.held_out.labels]
    return right.copy(), np.roll(right, 1, axis=1)


@pytest.mark.slow
@pytest.mark.images
def test_a_head_answers_as_the_regression_that_it_was_learned_by(run: "Experiment") -> None:
    training, views = run.prepared(Preparation("resized", ("square", "resize")))
    assert set(views) == {AT_HOME, OFF_CENTRE, "stain_blue"}
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    regression.fit(run.features(training), run.training.labels)
    seen = run.features(views[AT_HOME])
    head = run.learn(training)
    assert np.allclose(head.probabilities(seen), regression.predict_proba(seen), atol=1e-6)
    assert 0.2 < run.answer("resized", head, views).mean < 1


@pytest.mark.slow
@pytest.mark.images
def test_where_adapting_gains_nothing_the_model_stays_as_it_was(run: "Experiment") -> None:
    """A last layer that knows the answers cannot gain."""
    _, views = run.prepared(Preparation("resized", ("square", "resize")))
    one = {"stain_blue": views["stain_blue"]}
    features = run.features(views["stain_blue"])
    knows = Head(100 * np.linalg.pinv(features) @ answers_of(run)[0], np.zeros(8))
    kept = run.adapted("knows", knows, one)
    assert kept.refused == ("stain_blue",)
    assert kept.laboratories == run.answer("knows", knows, one).laboratories
