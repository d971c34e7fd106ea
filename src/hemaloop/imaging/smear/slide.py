"""What all images of one slide have in common: stain, lamp, optics, scale and how thick the blood lies."""

from dataclasses import dataclass

import numpy as np

# Optical density (red, green, blue) of one unit of each absorber: the dyes of a Romanowsky stain, and haemoglobin.
# Azure B with eosin gives nuclei their purple, methylene blue gives RNA its blue, eosin gives basic protein its red.
# Order and tints: Horobin and Walter 1987, "Understanding Romanowsky staining", Histochemistry 86:331.
ABSORBERS = ("azure", "methylene blue", "eosin", "haemoglobin")
_DENSITY = ((0.62, 0.70, 0.20), (0.62, 0.36, 0.06), (0.07, 0.45, 0.28), (0.06, 0.11, 0.19))


@dataclass(frozen=True)
class Slide:
    """One smear under one microscope."""

    absorbers: tuple[tuple[float, float, float], ...]  # optical density in RGB of one unit, after this staining
    lamp: tuple[float, float, float]  # RGB of the empty field, 0 to 255
    vignette: float  # share of light missing in the corners
    brightest: tuple[float, float]  # where the lamp is centred, -1 to 1 from the middle
    um_per_px: float
    blur_um: float  # sigma of the optics
    noise: float  # standard deviation of the camera, in grey levels
    red_cells: float  # share of the field that they would cover without overlap
    overlap: float  # smallest distance of two red cells, in diameters
    pallor: float  # how pale red cells are in the middle, 0 to 1

    @classmethod
    def of(cls, seed: int) -> "Slide":
        """The slide of that seed; always the same one."""
        rng = np.random.default_rng([seed, 0x51DE])
        strength = rng.normal(1.0, 0.11, len(ABSORBERS)).clip(0.75, 1.3)
        hue = rng.normal(1.0, 0.06, (len(ABSORBERS), 3)).clip(0.8, 1.2)
        density = np.array(_DENSITY) * strength[:, None] * hue * rng.uniform(0.85, 1.12)
        warmth, level = rng.normal(0.0, 0.05), rng.uniform(222, 246)
        lamp = level * np.array([1.0 + warmth, 0.97, 0.94 - 1.2 * warmth])
        return cls(
            absorbers=tuple((float(red), float(green), float(blue)) for red, green, blue in density),
            lamp=(float(min(lamp[0], 250)), float(lamp[1]), float(min(lamp[2], 250))),
            vignette=float(rng.uniform(0.0, 0.16)),
            brightest=(float(rng.normal(0, 0.25)), float(rng.normal(0, 0.25))),
            um_per_px=float(rng.uniform(0.093, 0.112)),
            blur_um=float(rng.uniform(0.05, 0.11)),
            noise=float(rng.uniform(0.6, 2.2)),
            red_cells=float(rng.uniform(0.32, 0.72)),
            overlap=float(rng.uniform(0.72, 1.0)),
            pallor=float(rng.uniform(0.35, 0.9)),
        )
