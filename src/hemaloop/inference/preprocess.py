"""The one way from a decoded image to a model's input; training, evaluation and devices share it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hemaloop.errors import DataError
from hemaloop.imaging.decode import Image
from hemaloop.inference.steps.catalogue import make_step
from hemaloop.inference.steps.crops import middle_square, resized
from hemaloop.inference.steps.picture import Picture, Step


@dataclass(frozen=True)
class StepSettings:
    """A step as data: in params.yaml, and in the card of a model."""

    name: str
    settings: dict[str, float] = field(default_factory=dict)  # what differs from the step's defaults


DEFAULT_STEPS = (StepSettings("square"), StepSettings("resize"))


@dataclass(frozen=True)
class Preprocessing:
    """What is done to each image, in order. Raises: DataError: a step, a setting or the order makes no sense."""

    steps: tuple[StepSettings, ...]
    size_px: int  # side of the square that comes out

    def __post_init__(self) -> None:
        if self.size_px < 1:
            raise DataError(f"preprocessing: wanted a size of at least 1 px, got {self.size_px}")
        grey = ""
        for step in self.ready:
            if grey and step.reads_colour:
                raise DataError(f"step {step.name}: it needs colours, and {grey} leaves none: put it before {grey}")
            grey = grey if step.leaves_colour else step.name

    @cached_property
    def ready(self) -> tuple[Step, ...]:
        return tuple(make_step(step.name, step.settings) for step in self.steps)


def preprocess(image: Image, preprocessing: Preprocessing, um_per_px: float | None = None) -> Image:
    """What the model sees of an image. The same image, steps and scale give the same bytes.

    What the steps leave in another size is brought to it as `to_input` does.

    Args:
        image: RGB uint8 (H, W, 3), levels 0 to 255; the model rescales inside.
        um_per_px: micrometres per pixel of the image, where known.

    Returns:
        RGB uint8 (size_px, size_px, 3).

    Raises:
        DataError: um_per_px is no scale. No image is refused.
    """
    if um_per_px is not None and not 0 < um_per_px < 100:
        raise DataError(f"um_per_px {um_per_px}: wanted micrometres per pixel, above 0, below 100")
    size = preprocessing.size_px
    picture = Picture(image, um_per_px)
    for step in preprocessing.ready:
        picture = step.apply(picture, size)
    return picture.pixels if picture.pixels.shape == (size, size, 3) else to_input(picture.pixels, size)


def to_input(image: Image, size_px: int) -> Image:
    """The middle square of an image, scaled: the steps `square` and `resize`.

    Args:
        image: RGB uint8 (H, W, 3), levels 0 to 255.
        size_px: the side wanted.

    Returns:
        RGB uint8 (size_px, size_px, 3).
    """
    return resized(middle_square(image), size_px, size_px)


def read_steps(values: Sequence[Any]) -> tuple[StepSettings, ...]:
    """Steps as params.yaml has them: each a name, or one name with its settings, as {gaussian: {sigma_px: 2}}.

    Raises:
        DataError: it is something else; whether the step exists is asked by `Preprocessing`.
    """
    return tuple(_read_step(value) for value in values)


def _read_step(value: Any) -> StepSettings:
    if isinstance(value, str):
        return StepSettings(value)
    if isinstance(value, dict) and len(value) == 1:
        name, settings = next(iter(value.items()))
        settings = {} if settings is None else settings
        if isinstance(settings, dict) and all(_is_number(each) for each in settings.values()):
            return StepSettings(str(name), {str(key): float(number) for key, number in settings.items()})
    raise DataError(f"step {value!r}: wanted a name, or a name with numbers: {{gaussian: {{sigma_px: 2}}}}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
