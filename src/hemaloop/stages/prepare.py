"""data/manifest.csv and its images -> data/prepared/{images.npy, index.csv}."""

from pathlib import Path

from hemaloop.config import read_section
from hemaloop.model.parameters import PrepareParams
from hemaloop.model.preparation import prepare, read_manifest
from hemaloop.stages.runner import run


def main() -> None:
    params = read_section(Path("params.yaml"), "prepare", PrepareParams)
    images = read_manifest(Path("data/manifest.csv"))
    prepare(images, Path(), Path("data/prepared"), params.size_px)
    print(f"prepared {len(images)} images at {params.size_px} px")


if __name__ == "__main__":
    run(main)
