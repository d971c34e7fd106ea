"""Training images vary as told, repeat themselves by seed, and stay images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hemaloop.config import parse_section
from hemaloop.errors import ConfigError
from hemaloop.imaging.laboratories import TRAINING, Laboratories, draw, weaken
from hemaloop.model.augmentation import AugmentParams, augment

NOTHING = AugmentParams(turn_degrees=0, mirror=False, elsewhere=0, strength=0, grey=0)


def _noise(images: int = 6, side: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (images, side, side, 3)).astype(np.uint8)


@given(st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_augmented_images_are_pixels_still_and_repeatable(seed: int) -> None:
    pixels = _noise()
    varied = augment(pixels, np.random.default_rng(seed))
    assert varied.dtype == np.float32
    assert varied.shape == pixels.shape
    assert 0 <= varied.min() <= varied.max() <= 255
    np.testing.assert_array_equal(varied, np.rint(varied))
    np.testing.assert_array_equal(varied, augment(pixels, np.random.default_rng(seed)))
    assert not np.array_equal(varied, augment(pixels, np.random.default_rng(seed + 1)))


def test_what_becomes_of_an_image_hangs_on_its_seed_alone() -> None:
    pixels = _noise()
    others = pixels.copy()
    others[1:] = 7
    first, second = (augment(images, np.random.default_rng(3))[0] for images in (pixels, others))
    np.testing.assert_array_equal(first, second)


def test_nothing_asked_for_changes_nothing() -> None:
    np.testing.assert_array_equal(augment(_noise(), np.random.default_rng(1), NOTHING), _noise())


def test_all_are_grey_where_all_are_to_be() -> None:
    grey = augment(_noise(), np.random.default_rng(1), AugmentParams(elsewhere=1, grey=1, strength=1))
    # Noise of the camera comes after the grey, and JPEG rounds each colour.
    calm = [image for image in grey if np.ptp(image, axis=2).max() <= 2]
    assert len(calm) >= 3


@pytest.mark.parametrize(
    ("params", "low", "high"),
    [
        (AugmentParams(elsewhere=0, brightness=0.2), 79, 121),
        (AugmentParams(elsewhere=0, contrast=0.3), 91, 109),
        (AugmentParams(elsewhere=0, zoom=0.5), 99, 101),
    ],
)
def test_an_even_image_stays_even_and_within_what_is_asked(params: AugmentParams, low: int, high: int) -> None:
    even = np.full((20, 8, 8, 3), 100, np.uint8)
    varied = augment(even, np.random.default_rng(1), params)
    np.testing.assert_allclose(varied.std(axis=(1, 2, 3)), 0, atol=0.5)
    assert low <= varied.min() <= varied.max() <= high
    if not params.zoom:
        assert np.ptp(varied) > (high - low) / 2


@given(st.floats(0, 1), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_weaker_laboratories_lie_within_the_stronger(strength: float, seed: int) -> None:
    weak = draw(weaken(TRAINING, strength), np.random.default_rng(seed))
    for name in ("azure", "eosin", "stain_turn", "gamma", "hue", "contrast", "haze", "scale"):
        low, high = getattr(TRAINING, name)
        assert low - 1e-9 <= getattr(weak, name) <= high + 1e-9, name
    assert draw(weaken(TRAINING, 0), np.random.default_rng(seed)) == draw(Laboratories(), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("key", "value"), [("elsewhere", 1.5), ("turn_degrees", -1.0), ("zoom", 1.0), ("noise", 100.0), ("strength", -1.0)]
)
def test_impossible_augmentation_is_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=key):
        parse_section({key: value}, "params.yaml: augment", AugmentParams)
