"""Steps that make one laboratory's stain and light look like another's.

Their references are fixed numbers: what `hemaloop features --stain` told of every tenth image of the five white-cell
classes of the Barcelona cells (Acevedo et al. 2020, CC BY 4.0; May-Gruenwald-Giemsa, CellaVision DM96).
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from hemaloop.imaging.decode import Image
from hemaloop.inference.steps.picture import Picture, to_lab, within

Levels = NDArray[np.float64]

_LIGHT = 0.95  # share of the pixels darker than glass under the lamp
_DARKEST_LIGHT = 64  # levels; where even the glass is darker there is no glass
_SAMPLE = 4096  # pixels that the stains are learned from
_FEWEST = 64  # stained pixels; fewer tell no stain
_MOST_GAIN = 5.0  # of an amount, either way; more would make a picture of noise
_PARALLEL = 0.999  # cosine of two stains that cannot be told apart
_STAINED = 0.15  # mean optical density from which a pixel counts, as in the paper


@dataclass(frozen=True)
class WhiteBalance:
    """The glass gets one grey level: each channel is multiplied, as the lamp and the camera's gains do.

    An image whose brightest parts are dark shows no glass, and stays as it is.

    Source: Beer and Lambert: a pixel is the light that falls in times what the stain lets through.
    """

    name: ClassVar[str] = "white_balance"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = True

    level: float = 240

    def __post_init__(self) -> None:
        within(self.name, "level", self.level, 128, 255)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        light = np.array([_bright(picture.pixels, channel) for channel in range(3)], np.float64)
        if light.min() < _DARKEST_LIGHT:
            return picture
        return replace(picture, pixels=_by_table(picture.pixels, np.arange(256.0)[:, None] * (self.level / light)))


@dataclass(frozen=True)
class Reinhard:
    """Mean and standard deviation of each CIELAB channel become the reference's; levels are those of 8-bit CIELAB.

    A channel that is flat is moved, not stretched.

    Source: Reinhard et al. 2001, "Color transfer between images": x' = (x - mean) * std_ref / std + mean_ref; in
    CIELAB instead of l-alpha-beta.
    """

    name: ClassVar[str] = "reinhard"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = True

    l_mean: float = 206
    a_mean: float = 135.8
    b_mean: float = 120.3
    l_std: float = 42.3
    a_std: float = 12
    b_std: float = 14.1

    def __post_init__(self) -> None:
        for name in ("l_mean", "a_mean", "b_mean"):
            within(self.name, name, getattr(self, name), 0, 255)
        for name in ("l_std", "a_std", "b_std"):
            within(self.name, name, getattr(self, name), 0.5, 128)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        lab = to_lab(picture.pixels)
        mean, std = (np.ravel(values) for values in cv2.meanStdDev(lab))
        gain = np.where(std < 0.5, 1.0, (self.l_std, self.a_std, self.b_std) / np.maximum(std, 0.5))
        moved = (np.arange(256)[:, None] - mean) * gain + (self.l_mean, self.a_mean, self.b_mean)
        return replace(picture, pixels=cv2.cvtColor(_by_table(lab, moved), cv2.COLOR_LAB2RGB))


@dataclass(frozen=True)
class Macenko:
    """Optical density as amounts of two stains, and those stains' colours and amounts become the reference's.

    `nuclear` is what nuclei have, `eosin` what red cells have; `white_balance` goes before it. Where two stains cannot
    be told (hardly any stained pixel, or one colour alone): the picture as it is. Whatever is neither, as the red
    granules of eosinophils, loses its own colour.

    Source: Macenko et al. 2009, "A method for normalizing histology slides for quantitative analysis". Here a pixel
    counts by its mean density, since red cells let most red light through; the stains are learned from at most about
    4,096 pixels; an amount is changed at most fivefold.
    """

    name: ClassVar[str] = "macenko"
    reads_colour: ClassVar[bool] = True
    leaves_colour: ClassVar[bool] = True

    light: float = 240  # level of the glass
    nuclear_red: float = 0.46
    nuclear_green: float = 0.881
    nuclear_blue: float = 0.107
    eosin_red: float = 0.54
    eosin_green: float = 0.655
    eosin_blue: float = 0.53
    nuclear_amount: float = 2.724  # 99th percentile
    eosin_amount: float = 0.687

    def __post_init__(self) -> None:
        within(self.name, "light", self.light, 128, 255)
        for stain in ("nuclear", "eosin"):
            for channel in ("red", "green", "blue"):
                within(self.name, f"{stain}_{channel}", getattr(self, f"{stain}_{channel}"), 0, 1)
            within(self.name, f"{stain}_amount", getattr(self, f"{stain}_amount"), 0.1, 10)

    def apply(self, picture: Picture, size_px: int) -> Picture:
        found = self.learn(picture.pixels)
        if found is None:
            return picture
        stains, amounts = found
        reference = np.array([
            [self.nuclear_red, self.nuclear_green, self.nuclear_blue],
            [self.eosin_red, self.eosin_green, self.eosin_blue],
        ]).T  # fmt: skip
        gains = np.diag(np.clip((self.nuclear_amount, self.eosin_amount) / amounts, 1 / _MOST_GAIN, _MOST_GAIN))
        # Rounded, so that the last digits of a machine's linear algebra decide no pixel.
        change = np.round(reference @ gains @ np.linalg.pinv(stains), 4)
        through = cv2.exp(-cv2.transform(_density(self.light)[picture.pixels], change.astype(np.float32)))
        pixels = np.clip(np.rint(through * np.float32(self.light)), 0, 255).astype(np.uint8)
        return replace(picture, pixels=pixels)

    def learn(self, pixels: Image) -> tuple[Levels, Levels] | None:
        """The picture's own stains (3, 2), as unit vectors of density, the nuclear one first (the
        more purple), and their amounts (2,): the 99th percentile. None where two stains cannot be told."""
        every = max(1, int(np.sqrt(pixels.shape[0] * pixels.shape[1] / _SAMPLE)))
        density = _density(self.light)[pixels[::every, ::every].reshape(-1, 3)].astype(np.float64)
        density = density[density.mean(axis=1) >= _STAINED]
        if len(density) < _FEWEST:
            return None
        stains = _two_stains(density)
        if abs(stains[:, 0] @ stains[:, 1]) > _PARALLEL:
            return None
        amounts = np.percentile(density @ np.linalg.pinv(stains).T, 99, axis=0)
        return (stains, amounts) if amounts.min() > 0.05 else None


def _two_stains(density: Levels) -> Levels:
    """The 1st and 99th percentile of direction in the plane nearest to all densities: (3, 2) unit vectors."""
    # Not centred, as in the paper's text (its code centres): a plane through no density at all holds both stains.
    _, vectors = np.linalg.eigh(density.T @ density / len(density))
    plane = vectors[:, [2, 1]]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1.0, 1.0)
    across = density @ plane
    low, high = np.percentile(np.arctan2(across[:, 1], across[:, 0]), (1, 99))
    stains = plane @ np.array([[np.cos(low), np.cos(high)], [np.sin(low), np.sin(high)]])
    purple = 2 * stains[1] - stains[0] - stains[2]  # purple is what takes green away
    return np.asarray(stains if purple[0] >= purple[1] else stains[:, ::-1])


def _density(light: float) -> NDArray[np.float32]:
    """Optical density of each level: -ln((level + 1) / light), at least 0."""
    return np.maximum(0, -np.log((np.arange(256) + 1) / light)).astype(np.float32)


def _bright(pixels: Image, channel: int) -> int:
    counts = np.cumsum(cv2.calcHist([pixels], [channel], None, [256], [0, 256]))
    return int(np.searchsorted(counts, _LIGHT * counts[-1]))


def _by_table(pixels: Image, levels: NDArray[np.floating[Any]]) -> Image:
    """Each channel through its own table; `levels` is (256, 3), brought to 0 to 255."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8).reshape(1, 256, 3)
    changed: Image = cv2.LUT(pixels, table)
    return changed
