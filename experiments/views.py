"""Cells as other laboratories would have shown them, and what a network would be given of each."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from hemaloop.config import read_params
from hemaloop.imaging.decode import Image, decode
from hemaloop.imaging.laboratories import HELD_OUT, Laboratory, shift
from hemaloop.inference.preprocess import Preprocessing, preprocess, read_steps
from papers.images import data_folder
from papers.protocols import HONEST, thin
from papers.run import WORK
from papers.systems import ROOT, read_systems
from papers.workspace import draw_sides

SEED = 7
SYSTEM = "hemaloop-barcelona"  # of papers/systems.yaml: whose images, and on which side each is
UM_PER_PX = 0.1  # of those images, see imaging/ruler.py
AT_HOME, OFF_CENTRE = HOME = "at home", "off centre"  # of the same laboratory, and where nobody centred the cell
LABORATORIES: Mapping[str, Laboratory] = MappingProxyType({**dict.fromkeys(HOME, Laboratory()), **HELD_OUT})
MOVED_PX, WINDOW_PX = 50, 260  # 5 um at most each way; 26 um, which is what a network at 0.2 um and 128 px sees

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Cells:
    """Images of one side of the honest split."""

    images: tuple[Image, ...]
    labels: npt.NDArray[np.intp]
    groups: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Preparation:
    """Steps of preprocessing, as params.yaml has them."""

    title: str
    steps: tuple[Any, ...]
    told: bool = False  # whether the scale is told with each image, as a sidecar does


def read_cells(side: str, most: int) -> Cells:
    """At most `most` images of each class on the training side, half as many on another.

    Raises:
        ConfigError: HEMALOOP_TEST_DATA does not hold them.
    """
    systems = read_systems()
    system = systems.named(SYSTEM)
    drawn = draw_sides(systems, system, systems.form("full"), HONEST, read_params(ROOT / "params.yaml"), WORK)
    chosen = [each for each in thin(drawn.placed, most) if each.side == side]
    folder, classes = data_folder(system.images), tuple(system.classes)
    return Cells(
        tuple(decode((folder / each.image.path).read_bytes()) for each in chosen),
        np.array([classes.index(each.image.folder) for each in chosen], np.intp),
        tuple(each.group for each in chosen),
        classes,
    )


def show(cells: Cells, name: str, seed: int) -> Cells:
    """The same cells as that laboratory of LABORATORIES would have shown them."""

    def shown(number: int) -> Image:
        image, rng = cells.images[number], np.random.default_rng([seed, number])
        return _moved(image, rng) if name == OFF_CENTRE else shift(image, LABORATORIES[name], rng)

    return Cells(_each(shown, len(cells)), cells.labels, cells.groups, cells.classes)


def _moved(image: Image, rng: np.random.Generator) -> Image:
    """A window whose middle lies beside the image's; nothing is made up."""
    height, width = image.shape[:2]
    side = min(WINDOW_PX, height, width)
    down, across = rng.integers(-MOVED_PX, MOVED_PX, 2, endpoint=True)
    top = int(np.clip((height - side) // 2 + down, 0, height - side))
    left = int(np.clip((width - side) // 2 + across, 0, width - side))
    return image[top : top + side, left : left + side]


def prepare(cells: Cells, preparation: Preparation, name: str, size_px: int) -> Pixels:
    """What the network is given of cells as that laboratory shows them, (n, size_px, size_px, 3)."""
    steps = Preprocessing(read_steps(preparation.steps), size_px)
    um_per_px = UM_PER_PX / LABORATORIES[name].scale if preparation.told else None
    return np.stack(_each(lambda number: preprocess(cells.images[number], steps, um_per_px), len(cells)))


def again(pixels: Pixels, steps: tuple[Any, ...]) -> Pixels:
    """Further steps on images that are prepared."""
    further = Preprocessing(read_steps(steps), pixels.shape[1])
    return np.stack(_each(lambda number: preprocess(pixels[number], further), len(pixels)))


def _each(make: Callable[[int], Image], count: int) -> tuple[Image, ...]:
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return tuple(threads.map(make, range(count)))
