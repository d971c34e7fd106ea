import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hemaloop.inference.preprocess import to_input


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 70))
def test_every_size_comes_out_as_asked(height: int, width: int, size_px: int) -> None:
    result = to_input(np.full((height, width, 3), (10, 20, 30), np.uint8), size_px)
    assert (result.shape, result.dtype) == ((size_px, size_px, 3), np.uint8)
    assert (result == (10, 20, 30)).all()  # neither channels nor levels change


@pytest.mark.parametrize("shape", [(40, 100, 3), (100, 40, 3)])
def test_the_middle_square_is_kept(shape: tuple[int, int, int]) -> None:
    image = np.zeros(shape, np.uint8)
    top, left = (shape[0] - 40) // 2, (shape[1] - 40) // 2
    image[top : top + 40, left : left + 40] = 255
    assert (to_input(image, 20) == 255).all()


def test_an_image_of_the_right_size_is_unchanged() -> None:
    image = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(to_input(image, 32), image)


def test_shrinking_averages() -> None:
    board = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(254)
    small = to_input(np.repeat(board[:, :, None], 3, axis=2).astype(np.uint8), 16)
    assert (small == 127).all()  # a chessboard of single pixels is even grey from afar
