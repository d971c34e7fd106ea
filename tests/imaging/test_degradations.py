"""Degradations do what their names say, more with every strength, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.imaging.decode import Image
from hemaloop.imaging.degradations import DEGRADATIONS, STRENGTHS, degrade, grey, restain, shuffle


def _picture(height: int = 240, width: int = 320) -> Image:
    """Pink ground, a violet disc with fine stripes in it."""
    rows, columns = np.mgrid[:height, :width]
    image = np.full((height, width, 3), (230, 190, 195), np.uint8)
    disc = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 < 75**2
    image[disc] = (110, 60, 140)
    image[disc & (columns % 4 < 2)] = (150, 100, 170)
    return image


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_each_strength_is_worse_than_the_one_before(kind: str) -> None:
    image = _picture()
    before = image.copy()
    apart = [
        np.abs(degrade(image, kind, strength, np.random.default_rng(1)).astype(int) - image).mean()
        for strength in STRENGTHS
    ]
    assert apart == sorted(apart)
    assert apart[0] > 0
    assert len(set(apart)) == len(STRENGTHS)
    assert np.array_equal(image, before)


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(sorted(DEGRADATIONS)),
    strength=st.sampled_from(STRENGTHS),
    seed=st.integers(0, 5),
    size=st.tuples(st.integers(8, 70), st.integers(8, 70)),
)
def test_any_image_is_degraded_alike_by_the_same_seed(
    kind: str, strength: int, seed: int, size: tuple[int, int]
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    once, again = (degrade(image, kind, strength, np.random.default_rng(seed)) for _ in range(2))
    assert once.shape == image.shape
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)


def test_white_balance_moves_red_against_blue_and_exposure_moves_all_alike() -> None:
    image = _picture()
    for seed in range(4):
        balance = degrade(image, "white_balance", 3, np.random.default_rng(seed)).mean(axis=(0, 1)) - image.mean(
            axis=(0, 1)
        )
        assert balance[0] * balance[2] < 0
        assert balance[1] == pytest.approx(0)
        light = degrade(image, "exposure", 3, np.random.default_rng(seed)).mean(axis=(0, 1)) - image.mean(axis=(0, 1))
        assert len(set(np.sign(light))) == 1


def test_grey_keeps_light_and_no_colour() -> None:
    without = grey(_picture())
    assert np.ptp(without, axis=2).max() == 0
    assert without.std() > 10


def test_another_stain_changes_colours_and_keeps_shapes() -> None:
    image = _picture()
    other = restain(image, np.random.default_rng(2))
    assert np.abs(other.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() > 5
    shapes = np.corrcoef(grey(image)[..., 0].ravel(), grey(other)[..., 0].ravel())[0, 1]
    assert shapes > 0.97


def test_shuffling_keeps_every_pixel_and_no_cell() -> None:
    image = _picture()
    mixed = shuffle(image, np.random.default_rng(2))
    assert mixed.shape == image.shape
    assert np.array_equal(np.sort(mixed.reshape(-1, 3), axis=0), np.sort(image.reshape(-1, 3), axis=0))
    assert np.abs(mixed.astype(int) - image).mean() > 5
