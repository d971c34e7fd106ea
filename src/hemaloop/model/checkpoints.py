"""Where a training stands, on disk after every epoch: killed anywhere, the next one goes on from there."""

import dataclasses
import hashlib
import io
import json
import logging
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from hemaloop.files import write_atomically
from hemaloop.model.prepared import Samples

log = logging.getLogger(__name__)

Arrays = tuple[npt.NDArray[Any], ...]
LISTS = "variables", "optimiser", "best"
CODE = Path(__file__).parents[1]
LIBRARIES = "tensorflow", "keras", "numpy", "opencv-python-headless"


@dataclass(frozen=True)
class State:
    """All that a phase needs to go on after an epoch."""

    variables: Arrays  # of the model: its weights and the state of its random numbers
    optimiser: Arrays
    best: Arrays  # weights at the lowest validation loss
    losses: tuple[float, ...]  # of validation: before the first epoch, and after each
    curves: tuple[dict[str, Any], ...]  # a row an epoch
    seconds: float  # that the phase has taken


@dataclass(frozen=True)
class Checkpoints:
    """A file for each phase; those of another fingerprint are never read."""

    folder: Path
    fingerprint: str

    def save(self, phase: str, state: State) -> None:
        arrays = {f"{name}_{number}": value for name in LISTS for number, value in enumerate(getattr(state, name))}
        told = {"losses": state.losses, "curves": state.curves, "seconds": state.seconds}
        content = io.BytesIO()
        np.savez(content, told=np.array(json.dumps(told)), **arrays)
        write_atomically(self._path(phase), content.getvalue())

    def load(self, phase: str) -> State | None:
        """What was saved last; None where nothing was, or where it cannot be read."""
        path = self._path(phase)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                return _state(dict(file))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            log.warning("%s cannot be read (%s): this phase begins anew", path, error)
            return None

    def forget(self) -> None:
        """Remove every file of the folder: the training has ended."""
        for path in self.folder.glob("*"):
            path.unlink()

    def forget_others(self) -> None:
        """Remove what another training, or a write that was cut short, left behind."""
        for path in self.folder.glob("*"):
            if not path.name.startswith(self.fingerprint):
                path.unlink()

    def _path(self, phase: str) -> Path:
        return self.folder / f"{self.fingerprint}-{phase}.npz"


def fingerprint(sides: Sequence[Samples], *settings: Any) -> str:
    """What training's result follows from: images, labels, settings, code and libraries, as a hash.

    Args:
        settings: values whose `repr` tells all, such as frozen dataclasses of numbers and strings.
    """
    digest = hashlib.sha256()
    for samples in sides:
        digest.update(samples.labels.tobytes())
        for pixels in samples.batches(256):
            digest.update(pixels.tobytes())
    for path in sorted(CODE.rglob("*.py")):
        digest.update(path.read_bytes())
    libraries = {name: version(name) for name in LIBRARIES}
    digest.update(repr((settings, libraries, platform.python_version())).encode())
    return digest.hexdigest()[:32]


def _state(arrays: dict[str, npt.NDArray[Any]]) -> State:
    told = json.loads(str(arrays["told"]))
    names = {name: [key for key in arrays if key.rpartition("_")[0] == name] for name in LISTS}
    lists = {name: tuple(arrays[f"{name}_{number}"] for number in range(len(keys))) for name, keys in names.items()}
    return State(**lists, losses=tuple(told["losses"]), curves=tuple(told["curves"]), seconds=told["seconds"])


def rows(records: Sequence[Any]) -> tuple[dict[str, Any], ...]:
    """Dataclasses as rows of a checkpoint."""
    return tuple(dataclasses.asdict(record) for record in records)
