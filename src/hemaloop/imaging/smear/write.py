"""A whole set of synthetic smears, as folders of JPEGs by class."""

from pathlib import Path

from hemaloop.files import write_atomically
from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.smear.draw import draw
from hemaloop.imaging.smear.morphology import CLASSES
from hemaloop.imaging.smear.slide import Slide

_QUALITY = 92


def write_smears(folder: Path, slides_per_class: int, images_per_slide: int, seed: int) -> None:
    """Draw <folder>/<class>/<class>-<slide>-<n>.jpg, 360 x 360 px; the same seed gives the same files.

    Every class has slides of its own, drawn from one distribution: a stain says nothing of the class.
    """
    for index, label in enumerate(CLASSES):
        for number in range(slides_per_class):
            slide_seed = (seed * len(CLASSES) + index) * 100_000 + number
            slide = Slide.of(slide_seed)
            for n in range(images_per_slide):
                path = folder / label / f"{label}-{number:03d}-{n:03d}.jpg"
                write_atomically(path, encode_jpeg(draw(label, slide, slide_seed * 10_000 + n), _QUALITY))
