"""Vary training images as smears vary: no way is up, and stain and light differ from slide to slide."""

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.float32]

BRIGHTNESS = 0.15  # and saturation: share up or down
HUE = 0.15  # radians, either way
# RGB to luma and two axes of chroma (NTSC 1953); turning the two turns the hue.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def augment(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> Images:
    """Each image turned by a multiple of 90 degrees, mirrored or not, its colours shifted a little.

    Args:
        pixels: (N, S, S, 3) uint8 RGB.

    Returns:
        (N, S, S, 3) float32 in [0, 255].
    """
    varied = np.empty(pixels.shape, np.float32)
    for index, image in enumerate(pixels):
        colours = _turn(image, int(rng.integers(8))).reshape(-1, 3).astype(np.float32) @ _colour_shift(rng)
        varied[index] = np.clip(colours, 0, 255).reshape(image.shape)
    return varied


def _turn(image: npt.NDArray[np.uint8], symmetry: int) -> npt.NDArray[np.uint8]:
    """One of the eight symmetries of a square."""
    turned = np.rot90(image, symmetry % 4)
    return turned[:, ::-1] if symmetry >= 4 else turned


def _colour_shift(rng: np.random.Generator) -> Images:
    """A random (3, 3) matrix that a row of RGB is multiplied by from the right."""
    angle = rng.uniform(-HUE, HUE)
    light, saturation = rng.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS, 2)
    cosine, sine = saturation * np.cos(angle), saturation * np.sin(angle)
    chroma = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    shift: Images = (light * np.linalg.inv(YIQ) @ chroma @ YIQ).T.astype(np.float32)
    return shift
