"""dvc.yaml names the code of every stage, so that DVC sees it change."""

from pathlib import Path

import pytest
import yaml
from imports_of import imported_files

ROOT = Path(__file__).parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# How settings are read, files are written and errors are told changes no number.
GENERAL = ("config.py", "errors.py", "files.py", "protocol/", "stages/runner.py")


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_names_the_code_that_it_imports(name: str) -> None:
    """A change that DVC does not see would leave behind a model that this code did not make."""
    found = imported_files(ROOT / "src", f"hemaloop.stages.{name}")
    wanted = {path for path in found if not path.removeprefix("src/hemaloop/").startswith(GENERAL)}
    assert sorted(wanted - set(STAGES[name]["deps"])) == []


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_names_no_code_that_it_does_not_use(name: str) -> None:
    """Such a dependency would train anew for nothing."""
    found = imported_files(ROOT / "src", f"hemaloop.stages.{name}")
    named = {path for path in STAGES[name]["deps"] if path.startswith("src/")}
    assert sorted(named - found) == []


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_runs_from_its_own_clone(name: str) -> None:
    assert STAGES[name]["cmd"] == f"PYTHONPATH=src python -m hemaloop.stages.{name}"


@pytest.mark.parametrize("name", STAGES)
def test_git_ignores_what_dvc_keeps(name: str) -> None:
    """Else the first `dvc repro` changes a file of the repository's."""
    kept = [out for out in STAGES[name]["outs"] if isinstance(out, str)]
    assert [path for path in kept if not _is_ignored(path)] == []


def _is_ignored(path: str) -> bool:
    """As DVC writes it: by its name, in the folder's own file."""
    return f"/{Path(path).name}" in (ROOT / path).parent.joinpath(".gitignore").read_text().splitlines()
