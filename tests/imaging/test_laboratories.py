"""Simulated laboratories change what they name, repeat themselves, and those held out are never drawn."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.imaging.decode import Image
from hemaloop.imaging.laboratories import (
    HELD_OUT,
    TRAINING,
    Laboratories,
    Laboratory,
    draw,
    magnify,
    photograph,
    shift,
    without_colour,
)
from hemaloop.imaging.smear.draw import draw as draw_cell
from hemaloop.imaging.smear.slide import Slide


@pytest.fixture(scope="module")
def cell() -> Image:
    return np.asarray(draw_cell("eosinophil", Slide.of(3), 1)[116:244, 116:244], np.uint8)


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _levels(image: Image) -> np.ndarray:
    return np.asarray(image.astype(np.float64).mean(axis=(0, 1)))


def test_a_laboratory_as_built_changes_nothing(cell: Image) -> None:
    assert np.abs(shift(cell, Laboratory(), _rng()).astype(int) - cell).max() <= 1


@given(st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_a_seed_draws_one_laboratory_and_one_image(seed: int) -> None:
    image = _rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    first, second = draw(TRAINING, _rng(seed)), draw(TRAINING, _rng(seed))
    assert first == second
    assert np.array_equal(shift(image, first, _rng(seed)), shift(image, second, _rng(seed)))
    assert shift(image, first, _rng(seed)).dtype == np.uint8


@given(st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_what_is_drawn_lies_within_its_ranges(seed: int) -> None:
    drawn = draw(TRAINING, _rng(seed))
    for name in ("azure", "eosin", "stain_turn", "gamma", "hue", "contrast", "haze", "scale"):
        low, high = getattr(TRAINING, name)
        assert low - 1e-9 <= getattr(drawn, name) <= high + 1e-9, name
    assert (drawn.curve, drawn.slope, drawn.detail) == (0.0, 0.0, 1.0)


def test_ranges_without_width_change_nothing() -> None:
    assert draw(Laboratories(), _rng(5)) == Laboratory()


@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_a_held_out_laboratory_lies_outside_what_training_draws(name: str) -> None:
    shown = dataclasses.asdict(HELD_OUT[name])
    untouched = dataclasses.asdict(Laboratory())
    ranged = [field for field in shown if isinstance(getattr(TRAINING, field, None), tuple)]
    outside = [f for f in ranged if not getattr(TRAINING, f)[0] <= shown[f] <= getattr(TRAINING, f)[1]]
    never = [field for field in ("curve", "slope", "detail") if shown[field] != untouched[field]]
    darkest, brightest = (limit * (1 + way * TRAINING.tint) for limit, way in zip(TRAINING.light, (-1, 1), strict=True))
    tinted = max(shown["lamp"]) / min(shown["lamp"]) > (1 + TRAINING.tint) / (1 - TRAINING.tint)
    differs = [f for f in outside if shown[f] != untouched[f]]
    assert differs or never or tinted or not darkest <= min(shown["lamp"]) <= brightest


def test_more_eosin_reddens_cells_and_leaves_the_empty_slide(cell: Image) -> None:
    redder = photograph(cell, Laboratory(eosin=1.8), _rng())
    empty = np.quantile(cell, 0.9, axis=(0, 1))
    assert np.allclose(np.quantile(redder, 0.9, axis=(0, 1)), empty, atol=3)
    assert _levels(redder)[1] < _levels(cell)[1] - 5  # eosin absorbs green
    assert abs(_levels(redder)[0] - _levels(cell)[0]) < abs(_levels(redder)[1] - _levels(cell)[1])


def test_a_yellow_lamp_takes_blue_away(cell: Image) -> None:
    yellow = photograph(cell, Laboratory(lamp=(1.0, 1.0, 0.7)), _rng())
    assert np.allclose(_levels(yellow) / _levels(cell), [1, 1, 0.7], atol=0.02)


def test_scale_makes_a_dark_disc_larger_and_turning_keeps_it() -> None:
    rows, columns = np.mgrid[:65, :65] - 32
    disc = np.where((rows**2 + columns**2 < 100)[..., None], np.uint8(20), np.uint8(240)).repeat(3, axis=2)
    area = [(magnify(disc, scale, turn=1.0, mirrored=True) < 128).mean() for scale in (0.8, 1.0, 1.5)]
    assert area == pytest.approx([0.074 * 0.8**2, 0.074, 0.074 * 1.5**2], rel=0.08)


def test_grey_has_no_colour_and_keeps_its_shape(cell: Image) -> None:
    grey = without_colour(cell)
    assert grey.shape == cell.shape
    assert np.ptp(grey, axis=2).max() == 0
    assert grey.std() > 10


def test_a_cheap_camera_shows_less_detail(cell: Image) -> None:
    cheap = photograph(cell, Laboratory(detail=0.4), _rng())
    assert (
        np.abs(np.diff(cheap.astype(float), axis=0)).mean() < 0.8 * np.abs(np.diff(cell.astype(float), axis=0)).mean()
    )
