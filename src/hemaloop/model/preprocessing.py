"""Section `prepare` of params.yaml; apart from the other sections, since it leads to every step's code."""

from dataclasses import dataclass
from typing import Any

from hemaloop.config import check
from hemaloop.errors import DataError
from hemaloop.inference.preprocess import Preprocessing, read_steps
from hemaloop.model.prepared import MINUS_ONE_ONE, SCALINGS


@dataclass(frozen=True)
class PrepareParams:
    size_px: int  # side of the square that the model sees
    steps: tuple[Any, ...] = ("square", "resize")  # names, or one name with its settings: {gaussian: {sigma_px: 2}}
    scaling: str = MINUS_ONE_ONE  # what the network's first layer makes of levels 0 to 255

    def __post_init__(self) -> None:
        check(32 <= self.size_px <= 512, f"size_px: wanted 32 to 512, got {self.size_px}")
        check(self.scaling in SCALINGS, f"scaling: wanted one of {', '.join(SCALINGS)}, got {self.scaling}")
        try:
            _ = self.preprocessing
        except DataError as error:
            raise ValueError(f"steps: {error}") from error

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing(read_steps(self.steps), self.size_px)
