"""What helps elsewhere is told of images that nothing was learned from."""

from pathlib import Path

import numpy as np
import pytest

from experiments.laboratories import to_markdown
from experiments.views import AT_HOME, OFF_CENTRE, Cells, Preparation, prepare, show
from hemaloop.imaging.smear import Slide, draw
from hemaloop.model.runtime import start_tensorflow

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


@pytest.mark.slow
@pytest.mark.images
def test_a_sites_own_images_are_never_scored(test_images: Path) -> None:
    start_tensorflow(7)
    from experiments.frozen import LABELLED, Experiment

    run = Experiment(10, [AT_HOME, OFF_CENTRE, "stain_blue"])
    assert len(run.labelled) >= LABELLED
    assert not set(run.labelled) & set(run.scored)
    training, views = run.prepared(Preparation("resized", ("square", "resize")))
    assert set(views) == {AT_HOME, OFF_CENTRE, "stain_blue"}
    found = run.answer("resized", run.learn(training), views)
    right = np.eye(8)[run.held_out.labels]
    wrong = np.roll(right, 1, axis=1)
    right[run.labelled] = wrong[run.labelled]
    perfect = run.score("perfect", dict.fromkeys(views, right), refused=["stain_blue"])
    assert (perfect.mean, perfect.worst) == (1.0, "stain_blue")
    assert 0.2 < found.mean < 1
    table = to_markdown([found, perfect])
    assert "perfect (refused in 1 of 3) | 100.0 (100.0 to 100.0) | 100.0 | 100.0 | 100.0 | 100.0 |" in table
