"""What helps elsewhere is told of images that nothing was learned from."""

from pathlib import Path

import numpy as np
import pytest

from experiments.laboratories import to_markdown
from experiments.views import AT_HOME, LABORATORIES, Cells, Preparation, prepare, show
from hemaloop.imaging.smear import Slide, draw
from hemaloop.model.runtime import start_tensorflow

SCALE = {"scale": {"um_per_px": 0.2}}


@pytest.fixture
def cells() -> Cells:
    images = tuple(draw(name, Slide.of(number), number) for number, name in enumerate(("neutrophil", "monocyte")))
    return Cells(images, np.array([0, 1]), ("a", "b"), ("monocyte", "neutrophil"))


def test_at_home_nothing_is_changed_and_elsewhere_it_is(cells: Cells) -> None:
    home, pale = (show(cells, LABORATORIES[name], 7) for name in (AT_HOME, "stain_pale"))
    assert all(np.array_equal(one, other) for one, other in zip(home.images, cells.images, strict=True))
    assert not np.array_equal(pale.images[0], cells.images[0])


def test_a_scale_that_is_told_follows_the_microscope(cells: Cells) -> None:
    """Cells one and a half times as large, and their scale told: the network sees them as large as at home."""
    told = Preparation("", (SCALE,), told=True)
    home, large = (
        prepare(show(cells, LABORATORIES[name], 7), told, LABORATORIES[name], 64) for name in (AT_HOME, "scale_large")
    )
    ignored = prepare(show(cells, LABORATORIES["scale_large"], 7), told, LABORATORIES[AT_HOME], 64)
    apart = [np.abs(each.astype(int) - home).mean() for each in (large, ignored)]
    assert apart[0] < apart[1] / 2


@pytest.mark.slow
@pytest.mark.images
def test_a_sites_own_images_are_never_scored(test_images: Path) -> None:
    start_tensorflow(7)
    from experiments.frozen import LABELLED, Experiment

    run = Experiment(10, [AT_HOME, "stain_blue"])
    assert len(run.labelled) >= LABELLED
    assert not set(run.labelled) & set(run.scored)
    training, views = run.prepared(Preparation("resized", ("square", "resize")))
    assert set(views) == {AT_HOME, "stain_blue"}
    found = run.answer("resized", run.learn(training), views)
    right = np.eye(8)[run.held_out.labels]
    wrong = np.roll(right, 1, axis=1)
    right[run.labelled] = wrong[run.labelled]
    perfect = run.score("perfect", dict.fromkeys(views, right), refused=["stain_blue"])
    assert (perfect.mean, perfect.worst) == (1.0, "stain_blue")
    assert 0.2 < found.mean < 1
    table = to_markdown([found, perfect])
    assert "perfect (refused in 1 of 2) | 100.0 (100.0 to 100.0) | 100.0 | 100.0 | 100.0 |" in table
