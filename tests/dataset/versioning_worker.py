"""One of several workers on one origin: python versioning_worker.py FOLDER NAME. It works in a workspace of its own."""

import sys
from pathlib import Path

from a_project import Project
from some_images import PARAMS, batch, image, read

from hemaloop.dataset.batch import Batch, Link

SHARED = batch("shared", 4)
EACH = 6


def links(name: str) -> list[Batch]:
    """Batches of links alone: nothing but git, so that workers meet at each push."""
    return [
        Batch((), (Link(image(f"{name}-{n}", f"{name}-{n}").origin, SHARED.images[0].sha256, "near-duplicate"),))
        for n in range(EACH)
    ]


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    project = Project(folder, folder / "origin.git", f"file://{folder}/bucket/dvc")
    workspace = project.workspace(f"workspace-{name}", f"cache-{name}")
    for each in (SHARED, *links(name)):
        workspace.version(each, read, PARAMS)


if __name__ == "__main__":
    main()
