"""data/manifest.csv and its images -> data/prepared/{images.npy, index.csv, statistics.json}."""

from pathlib import Path

from hemaloop.config import read_section
from hemaloop.model.preparation import prepare, read_manifest
from hemaloop.model.preprocessing import PrepareParams
from hemaloop.stages.runner import run


def main() -> None:
    params = read_section(Path("params.yaml"), "prepare", PrepareParams)
    images = read_manifest(Path("data/manifest.csv"))
    done = prepare(images, Path(), Path("data/prepared"), params.preprocessing, params.scaling, Path("data/earlier"))
    print(f"prepared {done.images} images at {params.size_px} px, {done.reused} of them as an earlier run had")


if __name__ == "__main__":
    run(main)
