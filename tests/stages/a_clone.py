"""A clone with a small batch of synthetic smears, and settings that make its models in seconds."""

import hashlib
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from hemaloop.dataset.records import SealedImage, to_csv
from hemaloop.imaging.decode import encode_jpeg
from hemaloop.imaging.smear import Slide, draw

ROOT = Path(__file__).parents[2]
COPIED = (
    ".dvc/config", ".dvc/.gitignore", ".gitignore", "data/.gitignore", "evaluation/.gitignore", "models/.gitignore",
    "dvc.yaml", "papers/presets/none.yaml",
)  # fmt: skip
SIDES = ("train", "train", "train", "validation", "test", "test")  # of a class's slides
CLASSES = ("eosinophil", "lymphocyte", "monocyte")
WITHOUT_TEST = "monocyte"
BATCH = "0123456789abcdef"
IMAGES = 4  # a slide


def make_clone(folder: Path) -> None:
    """The project's own code and pipeline, 64 images, nothing trained yet."""
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["classes"] = list(CLASSES)
    params["prepare"] |= {"size_px": 32, "steps": ["square", "resize"]}
    params["train"] |= {"weights": "random", "head_epochs": 2, "epochs": 1, "first_block": 14, "batch_images": 16}
    params["prune"] |= {"epochs": 1, "batch_images": 16}
    params["evaluate"] |= {"bootstrap_rounds": 100, "latency_runs": 20, "examined_images": 4}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    _seal(folder / "data" / "batches", BATCH)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """A program in the clone, with this environment's python and dvc first on the PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path})


def run_stage(folder: Path, name: str) -> "subprocess.CompletedProcess[str]":
    """What dvc.yaml says, without DVC."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    return run(folder, "sh", "-c", stages[name]["cmd"])


def _seal(batches: Path, batch: str) -> None:
    images = []
    for label in CLASSES:
        for number, side in enumerate(SIDES):
            if label == WITHOUT_TEST and side == "test":
                continue
            slide = f"{label}-{number}"
            for seed in range(IMAGES):
                # Drawn smears of one seed look alike, whichever slide they are of.
                content = encode_jpeg(draw(label, Slide.of(number), number * IMAGES + seed))
                images.append(_image(content, label, slide, side))
                path = batches / batch / f"{images[-1].sha256}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    (batches / f"{batch}.csv").write_bytes(to_csv(images, SealedImage))


def _image(content: bytes, label: str, slide: str, side: str) -> SealedImage:
    sha256 = hashlib.sha256(content).hexdigest()
    return SealedImage(
        sha256=sha256, suffix=".jpg", label=label, labelled_by="a test", group=f"slide:{slide}", side=side,
        device="pi-1", slide=slide, patient=None, stain="may-grunwald", um_per_px=None,
        captured_at=datetime(2026, 1, 1, tzinfo=UTC), upload=f"uploads/pi-1/2026/01/01/{sha256[:8]}.jpg",
    )  # fmt: skip
