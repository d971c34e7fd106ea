"""Where the demo's images come from, and on which slides they lie."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hemaloop.errors import ConfigError
from hemaloop.protocol.keys import IMAGE_SUFFIXES

WHITE_CELLS = "pbc-barcelona"  # the folder of HEMALOOP_TEST_DATA that the demo plays with
SLIDES = (10, 4)  # of each class, in round one and two
IMAGES_PER_SLIDE = 7
FEWEST_SLIDES = 3  # of a class: one a side of the split


@dataclass(frozen=True)
class Slide:
    """Images of one class that must stay together."""

    name: str
    label: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class Source:
    """Images for two rounds, and for the cameras."""

    told: str  # where they come from, in words that go on the screen and into the summary
    classes: tuple[str, ...]
    rounds: tuple[tuple[Slide, ...], ...]
    camera: tuple[Path, ...]  # images that no round uses: what devices see


def find(images: Path | None, classes: tuple[str, ...], drawn: Path) -> Source:
    """The folder given, else real images of HEMALOOP_TEST_DATA, else synthetic smears drawn into `drawn`.

    Raises: ConfigError: a folder without class folders, or with too few images.
    """
    if images is not None:
        found = tuple(sorted(folder.name for folder in images.iterdir() if folder.is_dir())) if images.is_dir() else ()
        return _cut(images, found, f"{images}")
    data = os.environ.get("HEMALOOP_TEST_DATA")
    if data:
        return _cut(Path(data) / WHITE_CELLS, classes, f"real images: {WHITE_CELLS}, {len(classes)} classes")
    _draw(drawn)
    return _cut(drawn, classes, "synthetic smears, drawn here: no figure says anything about real blood")


def _draw(folder: Path) -> None:
    from hemaloop.imaging.smear import write_smears

    write_smears(folder, slides_per_class=sum(SLIDES) + 2, images_per_slide=IMAGES_PER_SLIDE, seed=7)


def _cut(folder: Path, classes: tuple[str, ...], told: str) -> Source:
    """Take neighbouring file names for one slide: nothing better is known."""
    if len(classes) < 2:
        raise ConfigError(f"{folder}: wanted two or more folders, one a class, with images in them")
    first: list[Slide] = []
    second: list[Slide] = []
    camera: list[Path] = []
    for label in classes:
        paths = _images(folder / label)
        slides, rest = _slides(label, paths)
        share = max(FEWEST_SLIDES, len(slides) * SLIDES[0] // sum(SLIDES))
        first += slides[:share]
        second += slides[share:]
        camera += rest[:8]
    return Source(told, classes, (tuple(first), tuple(second)), tuple(camera))


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder of images")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _slides(label: str, paths: list[Path]) -> tuple[list[Slide], list[Path]]:
    """Slides of neighbours, and what is left over; fewer images make smaller slides."""
    wanted = sum(SLIDES)
    size = min(IMAGES_PER_SLIDE, len(paths) // (wanted + 1))
    if size < 1:
        raise ConfigError(f"{label}: {len(paths)} images are too few for the demo: give {wanted + 1} or more a class")
    slides = [
        Slide(
            f"{re.sub('[^A-Za-z0-9]', '-', label)}-{number:02d}",
            label,
            tuple(paths[number * size : (number + 1) * size]),
        )
        for number in range(wanted)
    ]
    return slides, paths[wanted * size :]
