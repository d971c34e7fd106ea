"""A small project of its own for each test: the real code and the real stage assemble, in a bare repository."""

import shutil
from pathlib import Path

import pytest
import yaml
from a_project import Project, commit_all, git

from hemaloop.dataset.clone import REMOTE

ROOT = Path(__file__).parents[2]
COPIED = (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "data/.gitignore", "data/batches/.gitignore")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (folder / "params.yaml").write_text("classes: [lymphocyte, monocyte]\n")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"assemble": stages["assemble"]}}))
    git(folder, "init", "-q", "-b", "main")
    commit_all(folder, "Start")
    return folder


@pytest.fixture
def bare(template: Path, tmp_path: Path) -> Project:
    """A project that has not said yet where its images are kept."""
    git(tmp_path, "clone", "-q", "--bare", str(template), "origin.git")
    return Project(tmp_path, tmp_path / "origin.git", f"file://{tmp_path}/bucket/dvc")


@pytest.fixture
def project(bare: Project) -> Project:
    """A project whose images are kept in a folder."""
    config = (ROOT / ".dvc/config").read_text()
    assert config.startswith("[core]\n")
    remote = bare.remote.removeprefix("file://")
    bare.change(".dvc/config", config, f"{config}    remote = {REMOTE}\n['remote \"{REMOTE}\"']\n    url = {remote}\n")
    return bare
