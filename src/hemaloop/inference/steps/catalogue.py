"""Which steps there are, by name; and a step from its name and settings."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from hemaloop.errors import DataError
from hemaloop.inference.steps.crops import NucleusCentre, NucleusCrop, Resize, Square, Trim
from hemaloop.inference.steps.filters import Edges, Gaussian, LabA
from hemaloop.inference.steps.masks import KmeansMask, KmeansRegions
from hemaloop.inference.steps.picture import Step
from hemaloop.inference.steps.scale import Scale
from hemaloop.inference.steps.stains import Macenko, Reinhard, WhiteBalance

STEPS: dict[str, Any] = {
    step.name: step
    for step in (
        Square, Resize, Trim, Scale, NucleusCentre, NucleusCrop, LabA, KmeansMask, KmeansRegions, Gaussian, Edges,
        WhiteBalance, Reinhard, Macenko,
    )
}  # fmt: skip


def make_step(name: str, settings: Mapping[str, float]) -> Step:
    """Raises: DataError: there is no such step, it has no such setting, or a setting is out of range."""
    if name not in STEPS:
        raise DataError(f"step {name!r}: there is none; known are {', '.join(STEPS)}")
    known = [field.name for field in dataclasses.fields(STEPS[name])]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise DataError(f"step {name}: unknown {', '.join(unknown)}; known are {', '.join(known) or 'none'}")
    step: Step = STEPS[name](**settings)
    return step
