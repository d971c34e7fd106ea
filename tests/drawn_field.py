"""Fields of a blood film with known cells, drawn as smooth discs: what is where, to the pixel."""

from dataclasses import dataclass
from xml.etree import ElementTree

import cv2
import numpy as np

from hemaloop.imaging.boxes import Box
from hemaloop.imaging.decode import Image

GLASS, RED, RIM = (236, 232, 224), (222, 186, 178), (204, 158, 152)
CYTOPLASM, NUCLEUS = (196, 178, 214), (98, 52, 142)
RED_UM, WHITE_UM, NUCLEUS_UM, PLATELET_UM = 7.2, 12.0, 8.0, 2.4
_FINE = 4  # drawn so many times as large


@dataclass(frozen=True)
class Disc:
    x_um: float
    y_um: float
    across_um: float
    colour: tuple[int, int, int]

    def box(self, um_per_px: float) -> Box:
        low, high = (
            [round((middle + way * self.across_um / 2) / um_per_px) for middle in (self.x_um, self.y_um)]
            for way in (-1, 1)
        )
        return Box(*low, *high)


def white(x_um: float, y_um: float, nucleus_um: float = NUCLEUS_UM) -> list[Disc]:
    """A white cell with a round nucleus; its own disc first."""
    return [Disc(x_um, y_um, WHITE_UM, CYTOPLASM), Disc(x_um, y_um, nucleus_um, NUCLEUS)]


def reds(width_um: float, height_um: float, taken: list[Disc], step_um: float = 9.5) -> list[Disc]:
    """Red cells in rows wherever nothing else lies, none cut by the border."""
    places = [
        (x, y)
        for y in np.arange(5.0, height_um - 4.5, step_um)
        for x in np.arange(5.0, width_um - 4.5, step_um)
        if all(np.hypot(x - disc.x_um, y - disc.y_um) > (disc.across_um + RED_UM) / 2 + 0.5 for disc in taken)
    ]
    return [Disc(x, y, RED_UM, RIM) for x, y in places] + [Disc(x, y, 0.45 * RED_UM, RED) for x, y in places]


def draw_discs(discs: list[Disc], um_per_px: float, width: int, height: int, seed: int = 0) -> Image:
    """RGB uint8 (height, width, 3): the later over the earlier, through a lens that blurs by 0.12 um, with noise."""
    image = np.full((height * _FINE, width * _FINE, 3), GLASS, np.uint8)
    for disc in discs:
        x, y, radius = (_FINE * value / um_per_px for value in (disc.x_um, disc.y_um, disc.across_um / 2))
        cv2.circle(image, (round(x), round(y)), round(radius), disc.colour, cv2.FILLED)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), 0.12 / um_per_px)
    noise = np.random.default_rng(seed).normal(0, 1.5, small.shape)
    return np.asarray((small + noise).clip(0, 255), np.uint8)


def voc(boxes: list[tuple[str, Box]]) -> bytes:
    """A VOC annotation of these boxes."""
    root = ElementTree.Element("annotation")
    for name, box in boxes:
        thing = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(thing, "name").text = name
        corners = ElementTree.SubElement(thing, "bndbox")
        values = {"xmin": box.left, "ymin": box.top, "xmax": box.right, "ymax": box.bottom}
        for corner, value in values.items():
            ElementTree.SubElement(corners, corner).text = str(value)
    return ElementTree.tostring(root)
