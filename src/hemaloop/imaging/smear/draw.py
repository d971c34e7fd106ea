"""Draw one image: cells as amounts of dye, then light through them, then lens and camera."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.errors import DataError
from hemaloop.imaging.decode import Image
from hemaloop.imaging.smear.field import add_platelets, add_red_cells
from hemaloop.imaging.smear.morphology import CLASSES, MORPHOLOGY
from hemaloop.imaging.smear.slide import ABSORBERS, Slide
from hemaloop.imaging.smear.white_cell import paint

SIDE = 360  # px


def draw(label: str, slide: Slide, seed: int) -> Image:
    """One white cell of a class near the middle of a field of red cells.

    Args:
        label: one of CLASSES.
        slide: what it shares with the other images of that slide.
        seed: the same label, slide and seed give the same image.

    Returns:
        RGB uint8 (360, 360, 3).

    Raises:
        DataError: no such class.
    """
    if label not in MORPHOLOGY:
        raise DataError(f"smear: cannot draw a {label!r}: wanted one of {', '.join(CLASSES)}")
    rng = np.random.default_rng([seed, CLASSES.index(label), 0xCE11])
    morphology = MORPHOLOGY[label]
    radius = rng.uniform(*morphology.cell_um) / 2 / slide.um_per_px
    x, y = (float(value) for value in rng.normal(SIDE / 2, 9, 2).clip(SIDE / 2 - 25, SIDE / 2 + 25))
    dense = np.zeros((SIDE, SIDE, len(ABSORBERS)), np.float32)
    add_red_cells(rng, dense, slide, (x, y), radius)
    add_platelets(rng, dense, slide, (x, y), radius)
    half = int(radius * 1.3)
    rows, columns = slice(int(y) - half, int(y) + half), slice(int(x) - half, int(x) + half)
    dense[rows, columns] = paint(rng, morphology, dense[rows, columns], radius, 1 / slide.um_per_px)
    return _photograph(rng, dense, slide)


def _photograph(rng: np.random.Generator, dense: NDArray[np.float32], slide: Slide) -> Image:
    """Beer and Lambert: each absorber takes its share of the light, whatever the others took."""
    density = dense @ np.array(slide.absorbers, np.float32)
    light = np.exp(np.float32(-np.log(10)) * density)
    light = cv2.GaussianBlur(light, (0, 0), slide.blur_um / slide.um_per_px)
    light *= _lamp(slide)
    light += slide.noise * _noise(rng, light.shape)
    return np.asarray(np.rint(light).clip(0, 255), np.uint8)


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Of mean 0 and deviation 1: the sum of two random bytes, a tenth of the time of a normal one."""
    first, second = np.frombuffer(rng.bytes(2 * int(np.prod(shape))), np.uint8).reshape(2, *shape)
    deviation = np.sqrt((256**2 - 1) / 6)
    return np.asarray((first.astype(np.float32) + second - 255) / np.float32(deviation), np.float32)


def _lamp(slide: Slide) -> NDArray[np.float32]:
    """The empty field, (SIDE, SIDE, 3): darker away from where the lamp is centred."""
    along = np.linspace(-1, 1, SIDE, dtype=np.float32)
    far = (along[None, :] - slide.brightest[0]) ** 2 + (along[:, None] - slide.brightest[1]) ** 2
    share = 1 - slide.vignette * far / 2
    return np.asarray(share[:, :, None] * np.array(slide.lamp, np.float32), np.float32)
