"""What a form changes of the systems as their papers describe them, value by value."""

from collections.abc import Mapping, Sequence
from typing import Any

from papers.protocols import HONEST
from papers.systems import Systems, params_of

WHOLE = "full"
CHANGES = "What this form changes (and what the full form has)"
# What a reader needs to judge a figure by; how often latency was measured is no such thing.
_TOLD = {
    ("prepare", "size_px"): "input px",
    ("train", "alpha"): "width of MobileNetV2",
    ("train", "head_epochs"): "epochs of the head",
    ("train", "epochs"): "epochs",
    ("train", "precision"): "computed in",
    ("train", "learning_rate"): "learning rate",
    ("train", "batch_images"): "images in a batch",
    ("prune", "channels"): "share of channels pruned",
    ("prune", "last_channels"): "share of the last channels pruned",
    ("prune", "epochs"): "epochs after pruning",
    ("quantise", "calibration_images"): "calibration images",
    ("evaluate", "examined_images"): "images that robustness is measured on",
}


def changes_told(systems: Systems, names: Sequence[str], form: str) -> list[str]:
    """A line for each of these systems: what `form` has instead of what the full form has. None for the full form."""
    told = []
    for name in names if form != WHOLE else ():
        here, whole = (params_of(systems, name, HONEST, each) for each in (form, WHOLE))
        changed = [
            f"{words} {_dig(here, path)} ({_dig(whole, path)})"
            for path, words in _TOLD.items()
            if _dig(here, path) != _dig(whole, path)
        ]
        told.append(f"{name}: {', '.join(changed) or 'nothing'}")
    return told


def _dig(params: Mapping[str, Any], path: tuple[str, str]) -> Any:
    return params[path[0]][path[1]]
