"""Cells as other laboratories would have shown them, and what a network would be given of each."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from hemaloop.imaging.decode import Image, decode
from hemaloop.imaging.laboratories import HELD_OUT, Laboratory, shift
from hemaloop.inference.preprocess import Preprocessing, preprocess, read_steps
from papers.images import data_folder, read_images
from papers.protocols import HONEST, Placed, held_out_blocks, place_by_blocks, thin
from papers.run import WORK

FOLDER = "pbc-barcelona"
UM_PER_PX = 0.1  # of those images, see imaging/ruler.py
NEAR_BITS = 6  # as params.yaml has it
AT_HOME, OFF_CENTRE = HOME = "at home", "off centre"  # of the same laboratory, and where nobody centred the cell
LABORATORIES: Mapping[str, Laboratory] = MappingProxyType({**dict.fromkeys(HOME, Laboratory()), **HELD_OUT})
MOVED_PX, WINDOW_PX = 50, 260  # 5 um at most each way; 26 um, which is what a network at 0.2 um and 128 px sees
PREPARED_AT_ONCE = 2  # threads

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
    folder = data_folder(FOLDER)
    placed = place_by_blocks(read_images(folder, WORK), held_out_blocks(HONEST), True, NEAR_BITS)
    chosen = [each for each in thin(placed, most) if each.side == side]
    classes = tuple(sorted({each.image.folder for each in placed}))
    return Cells(
        tuple(decode((folder / each.image.path).read_bytes()) for each in chosen),
        np.array([_label(each, classes) for each in chosen], np.intp),
        tuple(each.group for each in chosen),
        classes,
    )


def _label(placed: Placed, classes: tuple[str, ...]) -> int:
    return classes.index(placed.image.folder)


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
    with ThreadPoolExecutor(PREPARED_AT_ONCE) as threads:
        return tuple(threads.map(make, range(count)))
