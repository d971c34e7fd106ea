"""Whether the weights that a run asks for can be had on this machine."""

import os
from collections.abc import Mapping
from typing import Any

from hemaloop.model.parameters import IMAGENET


def missing_weights(train: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> str:
    """Why a run cannot start from the weights that it asks for; "" where it can."""
    if train["weights"] != IMAGENET:
        return ""
    return ""
