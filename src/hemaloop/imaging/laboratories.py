"""Simulated laboratories: the same cells as another stain, microscope and camera would have shown them.

What a laboratory changes is drawn from `TRAINING` while a model learns. `HELD_OUT` names laboratories that lie outside
those ranges, or do what none of them does; a model is judged on them and never sees them before.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# RGB (H, W, 3), as imaging.decode has it; a model is not trained anew because decoding changed.
Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Range = tuple[float, float]

# Optical density in red, green and blue of azure B, of eosin Y, and of what neither explains (their cross product).
AZURE, EOSIN = np.array([0.70, 0.63, 0.34]), np.array([0.13, 0.86, 0.49])
# RGB to luma and two axes of chroma (NTSC 1953); turning the two turns the hue.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
# -ln(level / 255), one for each level; level 0 counts as half a level.
DENSITY = -np.log(np.maximum(np.arange(256, dtype=np.float32), 0.5) / 255).astype(np.float32)
BACKGROUND = 0.9  # quantile of each channel that is taken for the empty slide
LOOKED_AT = 4  # every so manieth pixel, each way, for that quantile


RANGES = (
    "azure", "eosin", "stain_turn", "gamma", "light", "hue", "saturation", "contrast", "haze", "scale", "blur_px",
    "noise",
)  # fmt: skip


@dataclass(frozen=True)
class Laboratory:
    """What one laboratory does to an image; as built it changes nothing."""

    azure: float = 1.0  # amount of the blue dye
    eosin: float = 1.0  # of the red one
    stain_turn: float = 0.0  # radians that the dyes' colours turn around the grey axis of optical density
    gamma: float = 1.0  # of the tone curve, applied to all but the background
    lamp: tuple[float, float, float] = (1.0, 1.0, 1.0)  # of red, green and blue: light and white balance
    hue: float = 0.0  # radians, of the camera
    saturation: float = 1.0  # 0: grey
    contrast: float = 1.0  # around mid grey
    haze: float = 0.0  # share of light that strays evenly over the image
    curve: float = 0.0  # strength of an S-shaped tone curve; negative flattens
    slope: float = 0.0  # how much darker the lamp is at one edge than at the other
    scale: float = 1.0  # size of cells in pixels against that in the image
    blur_px: float = 0.0  # standard deviation
    detail: float = 1.0  # share of each side's pixels that the camera really has
    noise: float = 0.0  # standard deviation in levels
    jpeg_quality: int = 0  # 0: not compressed again


@dataclass(frozen=True)
class Laboratories:
    """The ranges that laboratories differ in; factors are drawn evenly on a logarithmic scale."""

    azure: Range = (1.0, 1.0)
    eosin: Range = (1.0, 1.0)
    stain_turn: Range = (0.0, 0.0)
    gamma: Range = (1.0, 1.0)
    light: Range = (1.0, 1.0)  # of the lamp as a whole
    tint: float = 0.0  # each colour of the lamp differs by at most this share
    hue: Range = (0.0, 0.0)
    saturation: Range = (1.0, 1.0)
    contrast: Range = (1.0, 1.0)
    haze: Range = (0.0, 0.0)
    scale: Range = (1.0, 1.0)
    blur_px: Range = (0.0, 0.0)
    noise: Range = (0.0, 0.0)
    jpeg_quality: tuple[int, int] = (0, 0)
    blurred: float = 0.3  # share of the laboratories with any blur; and likewise with any noise
    compressed: float = 0.3  # share that compress again
    grey: float = 0.0  # share without colour


TRAINING = Laboratories(
    azure=(0.6, 1.6),
    eosin=(0.6, 1.6),
    stain_turn=(-0.2, 0.2),
    gamma=(0.65, 1.6),
    light=(0.75, 1.2),
    tint=0.15,
    hue=(-0.3, 0.3),
    saturation=(0.4, 1.55),
    contrast=(0.7, 1.5),
    haze=(0.0, 0.15),
    scale=(0.68, 1.45),
    blur_px=(0.2, 1.2),
    noise=(1.0, 8.0),
    jpeg_quality=(40, 95),
    grey=0.1,
)

HELD_OUT: Mapping[str, Laboratory] = MappingProxyType(
    {
        "stain_blue": Laboratory(azure=1.5, eosin=0.45, stain_turn=-0.1),  # too little eosin: an old or alkaline stain
        "stain_red": Laboratory(azure=0.5, eosin=1.8, stain_turn=0.1),  # too acid a buffer
        "stain_pale": Laboratory(azure=0.5, eosin=0.5),
        "stain_turned": Laboratory(stain_turn=0.35),  # dyes of another maker
        "camera_yellow": Laboratory(lamp=(1.0, 0.93, 0.68), curve=0.3),  # a halogen lamp, no white balance
        "camera_blue": Laboratory(lamp=(0.76, 0.86, 1.05), hue=0.15, saturation=0.7),
        "camera_hard": Laboratory(curve=0.8, gamma=1.2, saturation=1.6),
        "camera_cheap": Laboratory(detail=0.5, noise=6.0, jpeg_quality=30, haze=0.2, slope=0.25),
        "scale_small": Laboratory(scale=0.65),
        "scale_large": Laboratory(scale=1.5),
        "elsewhere": Laboratory(
            azure=0.75, eosin=1.5, stain_turn=0.15, lamp=(0.95, 0.85, 0.8), curve=0.4, scale=1.4, detail=0.7
        ),
    }
)


def draw(laboratories: Laboratories, rng: np.random.Generator) -> Laboratory:
    """One laboratory; the same generator state gives the same one."""
    light = _factor(laboratories.light, rng)
    tints = rng.uniform(1 - laboratories.tint, 1 + laboratories.tint, 3)
    blurred, noisy, compressed, grey = rng.random(4)
    best, worst = laboratories.jpeg_quality
    quality = int(rng.integers(best, worst, endpoint=True))
    return Laboratory(
        azure=_factor(laboratories.azure, rng),
        eosin=_factor(laboratories.eosin, rng),
        stain_turn=float(rng.uniform(*laboratories.stain_turn)),
        gamma=_factor(laboratories.gamma, rng),
        lamp=(float(light * tints[0]), float(light * tints[1]), float(light * tints[2])),
        hue=float(rng.uniform(*laboratories.hue)),
        saturation=0.0 if grey < laboratories.grey else _factor(laboratories.saturation, rng),
        contrast=_factor(laboratories.contrast, rng),
        haze=float(rng.uniform(*laboratories.haze)),
        scale=_factor(laboratories.scale, rng),
        blur_px=float(rng.uniform(*laboratories.blur_px)) if blurred < laboratories.blurred else 0.0,
        noise=float(rng.uniform(*laboratories.noise)) if noisy < laboratories.blurred else 0.0,
        jpeg_quality=quality if compressed < laboratories.compressed else 0,
    )


def weaken(laboratories: Laboratories, strength: float) -> Laboratories:
    """Ranges `strength` times as wide, and where that is less, shares as much smaller: 0 changes nothing."""
    untouched = Laboratories()

    def narrowed(name: str) -> Range:
        low, high = getattr(laboratories, name)
        if getattr(untouched, name) == (1.0, 1.0):
            return float(low**strength), float(high**strength)
        return low * strength, high * strength

    ranges: dict[str, Any] = {name: narrowed(name) for name in RANGES}
    share = min(1.0, strength)
    return dataclasses.replace(
        laboratories,
        tint=laboratories.tint * strength,
        blurred=laboratories.blurred * share,
        compressed=laboratories.compressed * share,
        grey=laboratories.grey * share,
        **ranges,
    )


def shift(image: Image, laboratory: Laboratory, rng: np.random.Generator) -> Image:
    """The image as that laboratory would have made it, uint8 (H, W, 3) RGB, of the same size.

    Args:
        image: uint8 (H, W, 3) RGB.
        rng: draws the noise alone.
    """
    return photograph(magnify(image, laboratory.scale), laboratory, rng)


def magnify(image: Image, scale: float, turn: float = 0.0, mirrored: bool = False) -> Image:
    """Cells `scale` times as large around the middle, turned by `turn` radians; what lies outside is mirrored in."""
    if scale == 1.0 and turn == 0.0 and not mirrored:
        return image
    height, width = image.shape[:2]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    back = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) / scale
    back = back @ np.diag([-1.0 if mirrored else 1.0, 1.0])  # from a place in the result to its place in the image
    matrix = np.hstack([back, (middle - back @ middle)[:, np.newaxis]])
    # Shrinking by less than a half, linear interpolation leaves out no pixel.
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    turned: Image = cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return turned


def photograph(image: Image, laboratory: Laboratory, rng: np.random.Generator) -> Image:
    """Everything but the scale: stain, then lamp, then lens, then camera."""
    light = _camera(_stain(image, laboratory), laboratory)
    if laboratory.slope:
        light *= _slope(light.shape[0], light.shape[1], laboratory.slope)
    light = _lens(light, laboratory)
    if laboratory.noise:
        light += rng.normal(0, laboratory.noise, light.shape).astype(np.float32)
    seen: Image = np.rint(light.clip(0, 255)).astype(np.uint8)
    if laboratory.curve:
        seen = np.asarray(_curve(laboratory.curve)[seen], np.uint8)
    return _compress(seen, laboratory.jpeg_quality) if laboratory.jpeg_quality else seen


def changes_nothing(laboratory: Laboratory) -> bool:
    return laboratory == Laboratory()


def without_colour(image: Image) -> Image:
    """Luma (ITU-R BT.601) in all three channels, uint8 (H, W, 3)."""
    grey: Image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return grey


def _stain(image: Image, laboratory: Laboratory) -> Floats:
    """Light in levels behind the cells, (H, W, 3) float32: each dye absorbs in proportion to its amount.

    The density over the empty slide's is taken apart into dyes, their amounts change, and it is put together again.

    Source: Lambert and Beer; Ruifrok and Johnston 2001, "Quantification of histochemical staining by color
    deconvolution", and its use as augmentation by Tellez et al. 2018, arXiv:1808.05896.
    """
    density = DENSITY[image]
    empty = DENSITY[np.quantile(image[::LOOKED_AT, ::LOOKED_AT], BACKGROUND, axis=(0, 1), method="lower")]
    matrix = laboratory.gamma * _turning(laboratory.stain_turn) @ _mixing(laboratory.azure, laboratory.eosin)
    offset = empty - np.log(np.array(laboratory.lamp)) - matrix @ empty
    changed: Floats = cv2.transform(density, np.hstack([matrix, offset[:, np.newaxis]]).astype(np.float32))
    np.negative(changed, out=changed)
    np.exp(changed, out=changed)
    changed *= 255
    return changed


def _mixing(azure: float, eosin: float) -> NDArray[np.float64]:
    """(3, 3): density in, density out, with the dyes' amounts changed."""
    first, second = AZURE / np.linalg.norm(AZURE), EOSIN / np.linalg.norm(EOSIN)
    dyes = np.stack([first, second, np.cross(first, second)], axis=1)
    return np.asarray(dyes @ np.diag([azure, eosin, 1.0]) @ np.linalg.inv(dyes))


def _turning(angle: float) -> NDArray[np.float64]:
    """(3, 3): a rotation around (1, 1, 1), by Rodrigues' formula."""
    axis = np.ones(3) / math.sqrt(3)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)


def _camera(light: Floats, laboratory: Laboratory) -> Floats:
    """Hue, saturation, contrast and haze are one matrix and an offset."""
    cosine, sine = laboratory.saturation * math.cos(laboratory.hue), laboratory.saturation * math.sin(laboratory.hue)
    chroma = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    matrix = laboratory.contrast * (1 - laboratory.haze) * np.linalg.inv(YIQ) @ chroma @ YIQ
    offset = 127.5 * (1 - laboratory.contrast) * (1 - laboratory.haze) + 255 * 0.8 * laboratory.haze
    seen: Floats = cv2.transform(light, np.hstack([matrix, np.full((3, 1), offset)]).astype(np.float32))
    return seen


def _lens(light: Floats, laboratory: Laboratory) -> Floats:
    """Out of focus, and with fewer pixels than the image has."""
    if laboratory.blur_px:
        light = cv2.GaussianBlur(light, (0, 0), laboratory.blur_px)
    if laboratory.detail < 1:
        height, width = light.shape[:2]
        fewer = (max(1, round(width * laboratory.detail)), max(1, round(height * laboratory.detail)))
        light = cv2.resize(cv2.resize(light, fewer, interpolation=cv2.INTER_AREA), (width, height))
    return light


def _slope(height: int, width: int, slope: float) -> Floats:
    """(height, width, 1): from 1 at the left to 1 - slope at the right."""
    return np.broadcast_to(np.linspace(1, 1 - slope, width, dtype=np.float32)[None, :, None], (height, width, 1))


def _curve(strength: float) -> Floats:
    """(256,) levels: x + strength * (smoothstep(x) - x), which keeps black, mid grey and white."""
    x = np.arange(256) / 255
    return np.asarray(np.rint(255 * (x + strength * (x * x * (3 - 2 * x) - x))).clip(0, 255), np.float32)


def _compress(image: Image, quality: int) -> Image:
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.uint8)


def _factor(limits: Range, rng: np.random.Generator) -> float:
    return float(math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1]))))
