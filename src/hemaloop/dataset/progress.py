"""How much a clone holds, and how much of it no model has seen."""

import json
from dataclasses import dataclass
from pathlib import Path

from hemaloop.dataset.clone import BATCHES
from hemaloop.dataset.records import read_history

TRAINED_ON = Path("evaluation/dataset.json")  # written by stage assemble, committed with the models


@dataclass(frozen=True)
class Progress:
    images: int  # of every batch, labelled or not
    new_labelled: int  # labelled images that came after the last training


def read_progress(folder: Path) -> Progress:
    """Count what git records of the clone in `folder`; no image need be here."""
    images = list(read_history(folder / BATCHES).all_images())
    labelled = sum(image.label is not None for image in images)
    return Progress(len(images), labelled - _trained_on(folder / TRAINED_ON))


def _trained_on(path: Path) -> int:
    if not path.exists():
        return 0
    seen = json.loads(path.read_text())
    return int(seen["images"]) + int(seen["excluded"])
