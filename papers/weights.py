"""Which file of weights a run is given, and what becomes of it where there is none."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hemaloop.errors import ConfigError
from hemaloop.model.parameters import MOBILENETV2

PLACE = "HEMALOOP_WEIGHTS"
SKIP, SCRATCH = "skip", "scratch"


def environment_for(train: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The stages' environment. A single file in HEMALOOP_WEIGHTS is for the MobileNetV2 whose width its name tells."""
    given = Path(environ.get(PLACE, ""))
    fits = train["network"] == MOBILENETV2 and f"_{float(train['alpha'])}_" in given.name
    passed = given.is_dir() or not given.name or fits
    return {name: value for name, value in environ.items() if name != PLACE or passed}


def are_missing(error: ConfigError) -> bool:
    """Whether a stage ended because the weights to start from cannot be had: no fault of the preset's."""
    return "train.weights" in str(error) and "cannot be downloaded" in str(error)


def told_missing(train: Mapping[str, Any]) -> str:
    """Why a run was skipped, as its result says it: the stage's own words name folders of one machine."""
    return (
        f"{train['weights']} weights of {train['network']} were not on the machine that ran this, and could not be "
        "downloaded there; docs/how-to/papers.md says where to put them, and how to train without"
    )
