"""Versioning a batch onto 100,000 images against onto none. Alone: python -m bench.versioning [--quick]"""

import hashlib
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.ratio import Ratio, compare
from hemaloop.dataset.batch import Batch, BatchImage, Origin
from hemaloop.dataset.records import SIDES, SealedImage, to_csv
from hemaloop.dataset.repository import Workspace
from hemaloop.dataset.split import SplitParams

PARAMS = SplitParams(seed=7, train=0.7, validation=0.15, test=0.15, neighbour_minutes=10)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
GOAL = 1.5
OLD_BATCHES, OF_IMAGES, NEW_IMAGES = 50, 2000, 200
IMAGE_BYTES = 20_000
PER_SLIDE = 20
CLASSES = ("lymphocyte", "monocyte", "neutrophil")


def run(quick: bool = False) -> list[Ratio]:
    batches, rounds = (10, 2) if quick else (OLD_BATCHES, 5)
    with tempfile.TemporaryDirectory() as folder:
        none, many = _Site(Path(folder) / "none", 0), _Site(Path(folder) / "many", batches)
        for site in (none, many):  # the first of a new clone: the cache is filled, the remote is told
            site.version()
        ours, limit = compare(many.version, none.version, rounds)
    name = f"version {NEW_IMAGES} images onto {batches * OF_IMAGES:,}"
    return [Ratio(name, ours, limit, "onto none", GOAL)]


class _Site:
    """A repository with some history, the bot's clone of it, and a bucket that is a folder."""

    def __init__(self, folder: Path, batches: int) -> None:
        self._next = 0
        origin = _make_origin(folder, batches)
        self._workspace = Workspace(folder / "workspace", str(origin), f"file://{folder}/bucket/dvc", folder / "cache")

    def version(self) -> None:
        numbers = range(self._next, self._next + NEW_IMAGES)
        self._next += NEW_IMAGES
        content = {f"uploads/bench/2026/01/31/{number}.jpg": _image(number) for number in numbers}
        images = [
            BatchImage(
                hashlib.sha256(data).hexdigest(), ".jpg", upload,
                Origin("bench", NOON, slide=f"new-{number // PER_SLIDE}"), CLASSES[number % len(CLASSES)],
            )
            for number, (upload, data) in zip(numbers, content.items(), strict=True)
        ]  # fmt: skip
        self._workspace.version(Batch(tuple(images)), lambda image: content[image.upload], PARAMS)


def _image(number: int) -> bytes:
    return hashlib.shake_256(str(number).encode()).digest(IMAGE_BYTES)


def _make_origin(folder: Path, batches: int) -> Path:
    """What git would keep of `batches` older batches; nobody needs their images' bytes."""
    work = folder / "work"
    sealed = work / "data" / "batches"
    sealed.mkdir(parents=True)
    (sealed / ".gitignore").write_text("/*/\n")
    for number in range(batches):
        _write_batch(sealed, number)
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
    for command in (
        ("git", "init", "-q", "-b", "main"),
        (sys.executable, "-m", "dvc", "init", "-q"),
        ("git", "add", "."),
        ("git", *identity, "commit", "-q", "-m", "Begin"),
        ("git", "clone", "-q", "--bare", ".", "../origin.git"),
    ):
        subprocess.run(command, cwd=work, check=True, capture_output=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})
    return folder / "origin.git"


def _write_batch(folder: Path, number: int) -> None:
    id_ = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    rows = sorted((_old_image(number * OF_IMAGES + n) for n in range(OF_IMAGES)), key=lambda row: row.sha256)
    (folder / f"{id_}.csv").write_bytes(to_csv(rows, SealedImage))
    md5 = hashlib.md5(id_.encode(), usedforsecurity=False).hexdigest()
    pointer = f"outs:\n- md5: {md5}.dir\n  size: {OF_IMAGES * IMAGE_BYTES}\n  nfiles: {OF_IMAGES}\n"
    (folder / f"{id_}.dvc").write_text(f"{pointer}  hash: md5\n  path: '{id_}'\n")


def _old_image(number: int) -> SealedImage:
    slide = f"old-{number // PER_SLIDE}"
    return SealedImage(
        sha256=hashlib.sha256(f"old {number}".encode()).hexdigest(), suffix=".jpg",
        label=CLASSES[number % len(CLASSES)], labelled_by="ana", group=f"slide:{slide}",
        side=SIDES[number // PER_SLIDE % len(SIDES)], device="bench", slide=slide, patient=None, stain="May-Giemsa",
        um_per_px=0.1, captured_at=NOON + timedelta(seconds=number), upload=f"uploads/bench/2026/01/31/o-{number}.jpg",
    )  # fmt: skip


if __name__ == "__main__":
    for found in run(quick="--quick" in sys.argv):
        sys.stdout.write(f"{found.name}: {found.ratio:.2f} of {found.limit_is}; goal: at most {found.goal:g}\n")
