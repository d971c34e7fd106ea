"""Stage assemble: data/batches -> data/manifest.csv and evaluation/dataset.json, checked."""

import json
from pathlib import Path
from typing import Any

from hemaloop.config import read_classes
from hemaloop.dataset.manifest import Manifest, ManifestRow, assemble, count_images
from hemaloop.dataset.records import EXCLUDED, SIDES, to_csv
from hemaloop.files import write_atomically
from hemaloop.stages.runner import run


def main() -> None:
    classes = read_classes(Path("params.yaml"))
    manifest = assemble(Path("data/batches"), classes)
    write_atomically(Path("data/manifest.csv"), to_csv(manifest.rows, ManifestRow))
    summary = _summary(manifest, classes)
    write_atomically(Path("evaluation/dataset.json"), (json.dumps(summary, indent=2) + "\n").encode())
    _tell(manifest, summary)


def _summary(manifest: Manifest, classes: tuple[str, ...]) -> dict[str, Any]:
    counts = count_images(manifest.rows)
    return {
        "batches": manifest.batches,
        "images": len(manifest.rows) - len(manifest.excluded),
        "excluded": len(manifest.excluded),
        "unlabelled": manifest.unlabelled,
        "groups": len({row.group for row in manifest.rows if row.side != EXCLUDED}),
        "classes": {label: {side: counts[label, side] for side in SIDES} for label in classes},
    }


def _tell(manifest: Manifest, summary: dict[str, Any]) -> None:
    print(f"{summary['images']} images of {summary['groups']} groups in {summary['batches']} batches")
    print(f"{'':20}" + "".join(f"{side:>12}" for side in SIDES))
    for label, sides in summary["classes"].items():
        print(f"{label:20}" + "".join(f"{sides[side]:12}" for side in SIDES))
    if manifest.unlabelled:
        print(f"{manifest.unlabelled} images left out: nobody has labelled them yet")
    if manifest.excluded:
        groups = ", ".join(sorted({row.group for row in manifest.excluded}))
        print(f"{len(manifest.excluded)} images excluded: groups of two sides turned out to be one: {groups}")


if __name__ == "__main__":
    run(main)
