"""Every system can be read, says all that it stands for, and is part of the pipeline."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from hemaloop.config import NO_PRESET, parse_section, read_mapping
from hemaloop.errors import ConfigError
from hemaloop.model.augmentation import AugmentParams
from hemaloop.model.parameters import EvaluateParams, PruneParams, QuantiseParams, TrainParams
from hemaloop.model.preprocessing import PrepareParams
from papers.systems import FORMS, params_of, read_reported, read_systems

ROOT = Path(__file__).parents[2]
PRESETS = sorted(path.stem for path in (ROOT / "papers" / "presets").glob("*.yaml") if path.stem != NO_PRESET)
SYSTEMS = read_systems()
OURS = {name for name, system in SYSTEMS.systems.items() if system.preset == NO_PRESET}
SECTIONS = {
    "prepare": PrepareParams,
    "train": TrainParams,
    "augment": AugmentParams,
    "prune": PruneParams,
    "quantise": QuantiseParams,
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_leaves_nothing_of_a_system_to_params_yaml(name: str) -> None:
    """Or a change of our own recipe would change a published system; its classes are the laboratory's affair."""
    preset: dict[str, Any] = read_mapping(ROOT / "papers" / "presets" / f"{name}.yaml")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert set(preset) == set(SECTIONS)
    for section in SECTIONS:
        assert set(params[section]) <= set(preset[section]), section


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SYSTEMS.systems)
def test_every_system_has_valid_parameters_in_every_form(name: str, form: str) -> None:
    for protocol, leakage in (("paper", "report"), ("honest", "refuse")):
        params = params_of(SYSTEMS, name, protocol, form)
        for section, cls in (SECTIONS | {"evaluate": EvaluateParams}).items():
            parse_section(params[section], section, cls)
        assert params["evaluate"]["leakage"] == leakage
        assert params["classes"] == list(SYSTEMS.named(name).classes)


def test_the_pipeline_runs_every_system_and_tracks_its_preset() -> None:
    stages = yaml.safe_load((ROOT / "papers" / "dvc.yaml").read_text())["stages"]
    published = [name for name in SYSTEMS.systems if name not in OURS]
    assert stages["run"]["matrix"]["system"] == published
    assert set(stages["ours"]["matrix"]["system"]) == OURS
    assert all(SYSTEMS.named(name).preset == name for name in published)
    assert "papers/presets/${item.system}.yaml" in stages["run"]["deps"]
    sections = {each for each in stages["ours"]["params"] if isinstance(each, str)}
    assert set(SECTIONS) <= sections
    own = {"papers/systems.yaml": ["common_numbers", "forms.${item.form}", "systems.${item.system}"]}
    assert all(own in stages[name]["params"] for name in ("run", "ours"))
    assert set(yaml.safe_load((ROOT / "papers" / "systems.yaml").read_text())) == {"forms", "common_numbers", "systems"}


def test_what_papers_report_is_of_systems_that_are_run() -> None:
    named = {name.removesuffix("-degraded") for name in read_reported()}
    assert named == set(SYSTEMS.systems) - OURS


@pytest.mark.parametrize("ask", [SYSTEMS.named, SYSTEMS.form])
def test_an_unknown_name_is_told_the_known_ones(ask: Any) -> None:
    with pytest.raises(ConfigError, match=r"wanted one of .*, got 'other'"):
        ask("other")
