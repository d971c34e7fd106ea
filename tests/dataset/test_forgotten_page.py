"""The page of a training shows test images: it goes with them."""

import hashlib
from pathlib import Path

import pytest
import yaml
from a_project import Project, commit_all, git
from some_images import PARAMS, batch, read

from hemaloop.dataset.leaving_out import Withdrawn

pytestmark = pytest.mark.slow

PAGE = b"<img alt='a test image of somebody'>"
MD5 = hashlib.md5(PAGE, usedforsecurity=False).hexdigest()
OBJECT = f"files/md5/{MD5[:2]}/{MD5[2:]}"


def trained(project: Project) -> None:
    """A training whose stage report made the page, as `publish` leaves it behind."""
    clone = project.clone("trainer")
    made = {"cmd": "x", "outs": [{"path": "evaluation/report.html", "md5": MD5}, {"path": "evaluation/model-card.md"}]}
    locked = {"schema": "2.0", "stages": {"assemble": {"cmd": "y"}, "report": made}}
    (clone / "dvc.lock").write_text(yaml.safe_dump(locked))
    commit_all(clone, "Train")
    git(clone, "push", "-q", "origin", "main", "HEAD:refs/tags/trained/1")


def test_the_page_goes_with_the_images_that_it_may_show(project: Project) -> None:
    workspace, given = project.workspace(), batch("one", images=2)
    workspace.version(given, read, PARAMS)
    trained(project)
    places = [project.folder / "cache" / OBJECT, Path(project.remote.removeprefix("file://")) / OBJECT]
    local = project.folder / "workspace" / "evaluation" / "report.html"
    for place in (*places, local):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(PAGE)

    workspace.forget(Withdrawn(frozenset({given.images[0].sha256})))

    assert not any(place.exists() for place in (*places, local))
    assert list(yaml.safe_load(project.show("dvc.lock"))["stages"]) == ["assemble"]  # `dvc pull` asks for it no more
