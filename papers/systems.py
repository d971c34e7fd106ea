"""What is run: systems.yaml and reported.yaml as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hemaloop.config import NO_PRESET, PRESETS, lay_over, parse_section, read_mapping, read_params
from hemaloop.errors import ConfigError
from hemaloop.model.parameters import REPORT
from papers.protocols import PAPER, Split

ROOT = Path(__file__).parents[1]
SYSTEMS = ROOT / "papers" / "systems.yaml"
REPORTED = ROOT / "papers" / "reported.yaml"
FORMS = ("quick", "short", "full")


@dataclass(frozen=True)
class Form:
    """How much of a system is run."""

    says: str  # one line for the table
    without_weights: str  # skip or scratch: what becomes of a system whose ImageNet weights cannot be had
    images: int = 0  # of a folder on the training side, half as many on the others; 0: all
    params: dict[str, Any] = field(default_factory=dict)  # laid over every preset


@dataclass(frozen=True)
class System:
    """One published system, one of their comparators, or ours."""

    title: str
    preset: str  # a file of presets/
    images: str  # a folder of HEMALOOP_TEST_DATA
    classes: dict[str, tuple[str, ...]]  # class -> the folders that make it up
    split: Split  # of the protocol `paper`
    choices: tuple[str, ...] = ()  # what the paper leaves open or says twice, and what was chosen
    degraded: bool = False  # whether the paper has figures under a poor camera and network
    forms: dict[str, Any] = field(default_factory=dict)  # form -> what is laid over the preset, as the last


@dataclass(frozen=True)
class Systems:
    forms: dict[str, Form]
    common_numbers: dict[str, bool]  # data set -> whether its numbers are one sequence over all folders
    systems: dict[str, System]

    def named(self, name: str) -> System:
        if name not in self.systems:
            raise ConfigError(f"system: wanted one of {', '.join(self.systems)}, got {name!r}")
        return self.systems[name]

    def form(self, name: str) -> Form:
        if name not in self.forms:
            raise ConfigError(f"form: wanted one of {', '.join(self.forms)}, got {name!r}")
        return self.forms[name]


@dataclass(frozen=True)
class Reported:
    """What a paper says of itself; shares, not percent. None: it says nothing."""

    source: str
    accuracy: float | None = None
    sensitivity: float | None = None  # recall
    specificity: float | None = None
    precision: float | None = None
    f1: float | None = None
    auc: float | None = None
    megabytes: float | None = None
    milliseconds: float | None = None
    says: str = ""  # what else, in words
    epochs: tuple[dict[str, float], ...] = ()  # {epoch, loss, accuracy}


def read_systems(path: Path = SYSTEMS) -> Systems:
    """Raises: ConfigError: the file is not as it should be."""
    return parse_section(read_mapping(path), str(path), Systems)


def read_reported(path: Path = REPORTED) -> dict[str, Reported]:
    """Raises: ConfigError: the file is not as it should be."""
    return {name: parse_section(values, f"{path}: {name}", Reported) for name, values in read_mapping(path).items()}


def params_of(systems: Systems, name: str, protocol: str, form: str, root: Path = ROOT) -> dict[str, Any]:
    """The params.yaml of a run: the project's own, the preset, what the form changes for all, and for this system."""
    system = systems.named(name)
    preset = read_mapping(root / PRESETS / f"{system.preset}.yaml")
    overlays: tuple[Mapping[str, Any], ...] = (preset, systems.form(form).params, system.forms.get(form) or {})
    params = read_params(root / "params.yaml")
    for overlay in overlays:
        params = lay_over(params, overlay)
    if protocol == PAPER:  # the papers' splits leak: that is what the comparison shows
        params = lay_over(params, {"evaluate": {"leakage": REPORT}})
    return params | {"preset": NO_PRESET, "classes": list(system.classes)}
