"""The demo's rollout: one device, then the other, by the rule that elsewhere takes days and many devices."""

from pathlib import Path

from hemaloop.config import NO_PRESET, PRESET, read_mapping
from hemaloop.errors import HemaloopError

# Two devices and a handful of images prove nothing: here the rule asks for little, and a look follows the other.
QUICK = {
    "phases": [
        {"percent": 50.0, "devices": 1, "images": 1, "hours": 0.0},
        {"percent": 100.0, "devices": 2, "images": 1, "hours": 0.0},
    ],
    "limits": {
        "failed": 0.0, "errors": 0.0, "latency_ratio": 100.0, "slow": 0.9, "shift": 1.0, "disagreement": 1.0,
        "silent": 0.9,
    },
    "good_looks": 1,
}  # fmt: skip


def quick_params(params: Path, home: Path) -> Path:
    """params.yaml with the demo's rollout, in the demo's folder."""
    import yaml

    found = read_mapping(params)
    found[PRESET] = NO_PRESET  # presets lie beside the other
    found["rollout"] |= QUICK
    path = home / "params.yaml"
    path.write_text(yaml.safe_dump(found, sort_keys=False))
    return path


def look(params: Path) -> dict[str, str]:
    """Collect the reports and look at the rollout once, as the scheduled flows do; the row that it gives."""
    from flows.fleet import fleet
    from flows.rollout import rollout

    fleet(str(params))
    rows: list[dict[str, str]] = rollout(str(params))
    if not rows:
        raise HemaloopError("no rollout is on its way")
    return rows[0]
